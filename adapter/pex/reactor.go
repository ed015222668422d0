package pex

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Channel is the channel of discovery messages (docs/wire.md §7).
const Channel byte = 0x50

// waitingInterval is how often a node without any peer dials one address that is not due. While the
// network was gone all addresses may have failed until none is due for minutes.
const waitingInterval = 30 * time.Second

// mostWaiting is the number of addresses among which dialWaiting chooses.
const mostWaiting = 8

// request is what every peer is asked with. It is never changed.
var request = wire.AppendRequest(nil)

var _ compat.Reactor = (*Reactor)(nil)

// Reactor finds peers for a switch and tells its peers of others. It is started
// and stopped by its switch, once. It holds three goroutines while it runs; what
// it does for a message it does within Receive, without waiting.
type Reactor struct {
	*compat.BaseReactor

	book            *addrbook.Book
	interval        time.Duration
	saveInterval    time.Duration
	privateNetworks bool
	optionErr       error // what was wrong with the options; Start reports it

	waiting time.Time // when an address that was not due was dialed; of the goroutine that asks

	statsMtx sync.Mutex
	stats    Stats // without AddressesKnown

	cancel context.CancelFunc // ends the goroutines
	wg     sync.WaitGroup
}

// NewReactor returns a discovery reactor that keeps its addresses in the book. It may be
// the one of a libp2p transport (lp2p.WithAddrBook), which the DHT uses too. What is wrong
// with the options is reported by Start.
func NewReactor(book *addrbook.Book, opts ...Option) *Reactor {
	r := &Reactor{book: book, interval: DefaultDiscoveryInterval, saveInterval: DefaultSaveInterval}
	if book == nil {
		r.optionErr = errNoBook
	}
	r.BaseReactor = compat.NewBaseReactor("discovery", r)
	for _, opt := range opts {
		opt(r)
	}

	return r
}

// AddrBook returns the book in which the reactor keeps its addresses.
func (r *Reactor) AddrBook() *addrbook.Book { return r.book }

// GetChannels implements compat.Reactor. The capacities are TM2's: a larger
// message is dropped by this reactor, with its peer kept, as long as TM2 would
// keep the peer.
func (*Reactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{
		ID:                  Channel,
		Priority:            1,
		SendQueueCapacity:   20,
		RecvMessageCapacity: 5 << 20,
	}}
}

// OnStart implements service.Service: it has the peers of the book dialed, those
// first that were connected most recently, and begins to ask.
func (r *Reactor) OnStart() error {
	if r.optionErr != nil {
		return fmt.Errorf("%w: %w", compat.ErrInvalidOption, r.optionErr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	failed, unsubscribe := r.Switch.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	r.dialBook()
	r.waiting = time.Now()
	r.wg.Go(func() { r.askLoop(ctx) })
	r.wg.Go(func() { r.book.KeepSaved(ctx, r.saveInterval, r.rememberAll, r.saveFailed) })
	r.wg.Go(func() {
		defer unsubscribe()
		r.watchDials(ctx, failed)
	})

	return nil
}

// OnStop implements service.Service: it waits for the goroutines and saves the
// book.
func (r *Reactor) OnStop() {
	r.cancel()
	r.wg.Wait()
	if err := r.book.Flush(); err != nil {
		r.saveFailed(err)
	}
}

// InitPeer implements compat.Reactor.
func (*Reactor) InitPeer(peer compat.PeerConn) compat.PeerConn {
	peer.Set(stateKey, newPeerState(time.Now()))

	return peer
}

// AddPeer implements compat.Reactor. A peer that this node has dialed is asked at
// once; one that has dialed us has chosen us, and is its own source.
func (r *Reactor) AddPeer(peer compat.PeerConn) {
	r.remember(peer)
	if peer.IsOutbound() {
		r.ask(peer)
	}
}

// RemovePeer implements compat.Reactor. The connection lasted until now; it may be
// one that AddPeer has not seen.
func (r *Reactor) RemovePeer(peer compat.PeerConn, _ any) { r.remember(peer) }

// remember notes that the address of an outbound peer works. The address of an inbound
// peer is unknown. A private peer is removed from the book.
func (r *Reactor) remember(peer compat.PeerConn) {
	if peer.IsPrivate() {
		r.book.MarkPrivate(peer.ID())

		return
	}
	if !peer.IsOutbound() || compat.Delegate(peer) != "" {
		return // a delegated peer has the address of the node that speaks for it
	}
	r.book.MarkConnected(peer.SocketAddr(), advertised(peer) != nil)
}

// advertised is where the peer says that it can be dialed, or nil if that cannot
// be.
func advertised(peer compat.PeerConn) *types.NetAddress {
	addr := peer.NodeInfo().DialAddress()
	if addr == nil || addr.ID != peer.ID() || !addr.Dialable() {
		return nil
	}

	return addr
}

// askLoop asks one random peer in each interval. Without any peer the addresses of the
// book are dialed again, those that are due and now and then another one.
func (r *Reactor) askLoop(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.askRandom()
		}
	}
}

func (r *Reactor) askRandom() {
	peers := r.Switch.Peers().List()
	if len(peers) == 0 {
		r.dialBook()
		r.dialWaiting(time.Now())

		return
	}
	peers = slices.DeleteFunc(peers, func(p compat.PeerConn) bool {
		return !slices.Contains(p.NodeInfo().Channels, Channel)
	})
	if len(peers) > 0 {
		r.ask(peers[rand.IntN(len(peers))])
	}
}

// ask sends a request if there is a place for it now.
func (r *Reactor) ask(peer compat.PeerConn) {
	st := stateOf(peer)
	if st == nil {
		return
	}
	st.ask(time.Now())
	if !peer.TrySend(Channel, request) {
		st.unask()

		return
	}
	r.count(&r.stats.RequestsSent, 1)
}

// dialBook has the peers of the book dialed, except those that have just failed.
func (r *Reactor) dialBook() {
	if addrs := r.book.Dialable(r.book.Addresses()); len(addrs) > 0 {
		r.Switch.DialPeers(addrs...)
	}
}

// dialWaiting has one address dialed that is not due, if the last one is long enough ago. It is one of
// those at which peers have answered last, since these are the likeliest to be there when the network
// is back.
func (r *Reactor) dialWaiting(now time.Time) {
	if now.Sub(r.waiting) < waitingInterval {
		return
	}
	waiting := slices.DeleteFunc(r.book.Entries(), func(e addrbook.Entry) bool {
		return e.Due(now) || !e.Configured && !e.HasAnswered()
	})
	slices.SortFunc(waiting, func(a, b addrbook.Entry) int { return b.Answered.Compare(a.Answered) })
	waiting = waiting[:min(len(waiting), mostWaiting)]
	if len(waiting) > 0 {
		r.waiting = now
		r.Switch.DialPeers(&waiting[rand.IntN(len(waiting))].Addr)
	}
}

// watchDials notes in the book the dials that fail.
func (r *Reactor) watchDials(ctx context.Context, failed <-chan events.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-failed: // closed only after this loop
			if ev, ok := e.(events.DialFailedEvent); ok {
				r.book.MarkDialFailed(&ev.Address, ev.Reason)
			}
		}
	}
}

// rememberAll notes which addresses work until now, and which peers are anchors.
func (r *Reactor) rememberAll() {
	for _, peer := range r.Switch.Peers().List() {
		r.remember(peer)
	}
	if sw, ok := r.Switch.(compat.AnchorSource); ok {
		r.book.SetAnchors(sw.Anchors()...)
	}
}

func (r *Reactor) saveFailed(err error) { r.Logger.Error("cannot save address book", "err", err) }
