package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// stopTimeout bounds Stop: a reactor whose Receive never returns, or a Stop that
// is called from within a Receive, must not hang it. It is not shorter than
// compat.SendTimeout, the longest a well-behaved callback waits for one peer.
const stopTimeout = 10 * time.Second

var _ compat.Switch = (*MultiplexSwitch)(nil)

// errStopping is the reason given to the peers that Stop ends.
var errStopping = compat.Reject(compat.RejectClosing, "the node is stopping")

// MultiplexSwitch is the compat.Switch of a node: it handles peer connections
// and hands the messages of each channel to the reactor that owns it. All
// methods may be called concurrently.
//
// These methods are those of the embedded service.BaseService:
//
//	Start() error                   // runs OnStart, once; the error may wrap compat.ErrInvalidOption
//	Stop() error                    // runs OnStop, once; peers and reactors are stopped when it returns
//	SetLogger(logger *slog.Logger)  // before Start; see WithLogger
//	IsRunning() bool                // from Start until Stop
//	Quit() <-chan struct{}          // closed when Stop is done
type MultiplexSwitch struct {
	service.BaseService

	transport compat.Transport
	behavior  *behavior
	reactors  []namedReactor
	optionErr error // what was wrong with the options; Start reports it

	// Not changed once built.
	persistent    map[types.ID]types.NetAddress
	seeds         map[types.ID]types.NetAddress
	private       map[types.ID]struct{}
	unconditional map[types.ID]struct{}
	dialTimeout   time.Duration

	registry registry
	conns    sync.Map // compat.PeerConn to *connection
	peers    *peerSet
	dials    *dialer
	events   *events.Events

	ctx     context.Context // ends when the switch stops
	cancel  context.CancelFunc
	tasks   task.Tasks
	dropped atomic.Uint64
}

type namedReactor struct {
	compat.Reactor
	name string
}

// NewMultiplexSwitch returns a switch on the transport. What is wrong with the
// options is reported by Start. A switch that is never started holds no
// goroutine and needs no Stop.
func NewMultiplexSwitch(transport compat.Transport, opts ...SwitchOption) *MultiplexSwitch {
	sw := &MultiplexSwitch{
		transport:     transport,
		persistent:    make(map[types.ID]types.NetAddress),
		seeds:         make(map[types.ID]types.NetAddress),
		private:       make(map[types.ID]struct{}),
		unconditional: make(map[types.ID]struct{}),
		dialTimeout:   DefaultDialTimeout,
		registry: registry{
			byID:        make(map[types.ID]*connection),
			hosts:       make(map[netip.Prefix]uint64),
			maxInbound:  DefaultMaxInboundPeers,
			maxOutbound: DefaultMaxOutboundPeers,
		},
		peers:  newPeerSet(),
		dials:  newDialer(),
		events: events.New(),
	}
	sw.behavior = &behavior{sw: sw, reactors: make(map[byte]compat.Reactor)}
	sw.BaseService = *service.NewBaseService(nil, "P2P MultiplexSwitch", sw)
	sw.ctx, sw.cancel = context.WithCancel(context.Background())

	for _, opt := range opts {
		opt(sw)
	}

	return sw
}

// OnStart implements service.Service: it starts all reactors and then accepts
// and dials. When a reactor does not start, those started before it are stopped
// again and the error is returned; it is service.ErrAlreadyStopped when Stop comes
// before all have started.
func (sw *MultiplexSwitch) OnStart() error {
	if sw.optionErr != nil {
		return fmt.Errorf("%w: %w", compat.ErrInvalidOption, sw.optionErr)
	}
	if err := sw.startReactors(); err != nil {
		return err
	}
	sw.tasks.Run(func() { sw.acceptLoop(sw.ctx) })
	sw.tasks.Run(func() { sw.dialLoop(sw.ctx) })
	sw.dialPersistent()

	return nil
}

// startReactors starts the reactors in the order of registration. A Stop that comes
// meanwhile has not seen the reactor being started: that one is stopped here, and no
// other is started.
func (sw *MultiplexSwitch) startReactors() error {
	for i, r := range sw.reactors {
		err := r.Start()
		if sw.ctx.Err() != nil {
			sw.stopReactors(sw.reactors[:i+1])

			return service.ErrAlreadyStopped
		}
		if err != nil {
			sw.stopReactors(sw.reactors[:i])

			return fmt.Errorf("start reactor %q: %w", r.name, err)
		}
	}

	return nil
}

// OnStop implements service.Service: it ends accepting and dialing, stops and
// removes all peers, and then stops the reactors, the last started first. It
// returns after at most 10 s plus what the reactors' OnStop takes; a peer whose
// Receive has not returned by then is removed when it does. The transport stays
// open.
func (sw *MultiplexSwitch) OnStop() {
	conns := sw.registry.close()
	sw.cancel()

	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	sw.stopPeers(conns, timeout)
	sw.stopReactors(sw.reactors)
}

// stopPeers stops the connections side by side, so that a slow one costs the
// others nothing, and waits until they are removed and all goroutines of the
// switch have ended, or until the timeout.
func (sw *MultiplexSwitch) stopPeers(conns []*connection, timeout *time.Timer) {
	for _, c := range conns {
		sw.tasks.Run(func() { sw.stop(c, errStopping) })
	}
	sw.tasks.Close()

	for _, c := range conns {
		select {
		case <-c.gone:
		case <-timeout.C:
			sw.Logger.Error("peer is not removed in time, stopping without it", "peer", c.id)

			return
		}
	}
	select {
	case <-sw.tasks.Done():
	case <-timeout.C:
		sw.Logger.Error("goroutines of the switch have not ended in time, stopping without them")
	}
}

func (sw *MultiplexSwitch) stopReactors(reactors []namedReactor) {
	for i := len(reactors) - 1; i >= 0; i-- {
		err := reactors[i].Stop()
		if err != nil && !errors.Is(err, service.ErrNotStarted) && !errors.Is(err, service.ErrAlreadyStopped) {
			sw.Logger.Error("cannot stop reactor", "reactor", reactors[i].name, "err", err)
		}
	}
}

// Peers implements compat.Switch. The set is live. A peer that a caller adds to
// it is listed, but no reactor hears of it and no Broadcast reaches it.
func (sw *MultiplexSwitch) Peers() compat.PeerSet { return sw.peers }

// OutboundSlots returns how many outbound slots are taken, and how many there are.
// Peers().NumOutbound() counts by who dialed, which differs: of two crossed
// connections the one that stays may hold the slot of the other, and unconditional
// peers take none. Persistent peers can make more slots taken than there are.
func (sw *MultiplexSwitch) OutboundSlots() (taken, limit uint64) { return sw.registry.outboundSlots() }

// Subscribe implements compat.Switch.
func (sw *MultiplexSwitch) Subscribe(filterFn events.EventFilter) (<-chan events.Event, func()) {
	return sw.events.Subscribe(filterFn)
}

// StopPeerForError implements compat.Switch. The removal runs before it returns,
// unless a Receive or the admission of the peer is under way: then it runs when
// that ends. A peer that the switch does not have, or no longer has, is ignored.
// A persistent peer is redialed.
func (sw *MultiplexSwitch) StopPeerForError(peer compat.PeerConn, err error) {
	c := sw.lookup(peer)
	if c == nil {
		sw.Logger.Debug("peer to stop is not connected", "err", err)

		return
	}
	sw.stop(c, err)
}

func (sw *MultiplexSwitch) isPersistent(id types.ID) bool {
	_, persistent := sw.persistent[id]

	return persistent
}

// self is the node's own ID.
func (sw *MultiplexSwitch) self() types.ID { return sw.transport.NetAddress().ID }
