package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// stopTimeout bounds Stop, which must not hang on a reactor whose Receive never returns,
// nor when it is called from within a Receive. It is not shorter than
// compat.SendTimeout, the longest that a well-behaved callback waits for one peer.
const stopTimeout = 10 * time.Second

var _ compat.Switch = (*MultiplexSwitch)(nil)

// errStopping is the reason for ending all peers when the switch stops.
var errStopping = compat.Reject(compat.RejectClosing, "the node is stopping")

// MultiplexSwitch is the compat.Switch of a node: it handles peer connections
// and hands the messages of each channel to the reactor that owns it. All
// methods may be called concurrently.
//
// These methods are those of the embedded service.BaseService:
//
//	Start() error                   // runs OnStart, once; the error may wrap compat.ErrInvalidOption
//	Stop() error                    // runs OnStop, once; peers and reactors are stopped when it returns
//	IsRunning() bool                // from Start until Stop
//	Quit() <-chan struct{}          // closed when Stop is done
type MultiplexSwitch struct {
	service.BaseService

	transport compat.Transport
	behavior  *behavior
	reactors  []namedReactor
	optionErr error // what was wrong with the options; Start reports it

	dialTimeout time.Duration // not changed once built
	seedUptime  time.Duration // likewise; zero without WithSeedMode
	interfaces  func() ([]net.Addr, error)
	lists       *peerLists

	registry registry
	conduct  *conduct.Book
	refused  *summary.Log  // what strangers can cause without end
	sessions *summary.Log  // the same for begins and ends of sessions, which must not crowd out refusals
	lines    *rate.Limiter // about sessions that are not summed up
	conns    sync.Map      // compat.PeerConn to *connection
	peers    *peerSet
	dials    *dialer
	events   *events.Events

	ctx     context.Context // ends when the switch stops
	cancel  context.CancelFunc
	tasks   task.Group
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
		transport:   transport,
		dialTimeout: DefaultDialTimeout,
		interfaces:  net.InterfaceAddrs,
		lists:       newPeerLists(),
		registry: registry{
			byID:    make(map[types.ID]*connection),
			spots:   make(map[spot][trusts]uint64),
			awaited: make(map[types.ID]bool),
			limits:  [...]uint64{slotInbound: DefaultMaxInboundPeers, slotOutbound: DefaultMaxOutboundPeers},

			ghostAge: ghostAge,
		},
		peers:   newPeerSet(),
		dials:   newDialer(),
		conduct: conduct.New(),
		events:  events.New(),
		lines:   rate.NewLimiter(rate.Every(sessionLinesInterval), sessionLines),
	}
	sw.registry.lists, sw.registry.conduct = sw.lists, sw.conduct
	sw.behavior = &behavior{sw: sw, reactors: make(map[byte]compat.Reactor)}
	sw.BaseService = *service.NewBaseService(nil, "P2P MultiplexSwitch", sw)
	sw.refused, sw.sessions = summary.New(sw.Logger), summary.New(sw.Logger)
	sw.ctx, sw.cancel = context.WithCancel(context.Background())

	for _, opt := range opts {
		opt(sw)
	}

	return sw
}

// SetLogger implements service.Service. It must be called before Start; see WithLogger.
func (sw *MultiplexSwitch) SetLogger(logger *slog.Logger) {
	sw.BaseService.SetLogger(logger)
	sw.refused, sw.sessions = summary.New(logger), summary.New(logger)
}

// OnStart implements service.Service: it starts all reactors and then accepts
// and dials. When a reactor does not start, those started before it are stopped
// again and the error is returned; it is service.ErrAlreadyStopped when Stop comes
// before all have started.
func (sw *MultiplexSwitch) OnStart() error {
	if sw.optionErr != nil {
		return fmt.Errorf("%w: %w", compat.ErrInvalidOption, sw.optionErr)
	}
	if err := sw.announceChannels(); err != nil {
		return err
	}
	if err := sw.startReactors(); err != nil {
		return err
	}
	sw.tasks.Go(func() { sw.acceptLoop(sw.ctx) })
	sw.tasks.Go(func() { sw.dialLoop(sw.ctx) })
	sw.tasks.Go(func() { sw.watchLocal(sw.ctx) })
	for _, id := range sw.lists.persistentIDs() {
		sw.redial(id, stableUptime)
	}
	sw.warnOfBlockedSeeds()

	return nil
}

// startReactors starts the reactors in the order of registration. A concurrent Stop does
// not see the reactor that is being started, so that one is stopped here, and no further
// reactor is started.
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
	sw.refused.Close()
	sw.sessions.Close()
}

// stopPeers stops the connections concurrently, so that a slow one does not delay the
// others. It waits until they are removed and all goroutines of the switch have ended, or
// until the timeout.
func (sw *MultiplexSwitch) stopPeers(conns []*connection, timeout *time.Timer) {
	for _, c := range conns {
		sw.tasks.Go(func() { sw.stop(c, errStopping) })
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

// Peers implements compat.Switch. The set is live. A peer that a caller adds to it is
// listed, but the reactors get no callback for it and Broadcast does not reach it.
func (sw *MultiplexSwitch) Peers() compat.PeerSet { return sw.peers }

// OutboundSlots returns how many outbound slots are taken, and how many there are. The
// count differs from Peers().NumOutbound(): after crossed dials the connection that stays
// may hold the slot of the other, and unconditional peers take no slot. Persistent peers
// can take more slots than there are.
func (sw *MultiplexSwitch) OutboundSlots() (taken, limit uint64) { return sw.registry.outboundSlots() }

// Subscribe implements compat.Switch.
func (sw *MultiplexSwitch) Subscribe(filterFn events.EventFilter) (<-chan events.Event, func()) {
	return sw.events.Subscribe(filterFn)
}

// StopPeerForError implements compat.Switch. The peer is removed before it returns, or,
// if a Receive or the admission of the peer is running, when that ends. It ignores a peer
// that is not connected. A persistent peer is redialed.
func (sw *MultiplexSwitch) StopPeerForError(peer compat.PeerConn, err error) {
	c := sw.lookup(peer)
	if c == nil {
		sw.Logger.Debug("peer to stop is not connected", "err", err)

		return
	}
	sw.stop(c, err)
}

// self is the node's own ID.
func (sw *MultiplexSwitch) self() types.ID { return sw.transport.NetAddress().ID }
