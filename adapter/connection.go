package adapter

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// errPeerStopped is the reason of a removal when somebody called the peer's
// Stop without telling the switch.
var errPeerStopped = errors.New("peer was stopped")

// connection is what the switch knows of one connection, from the reservation
// of its ID until its removal.
type connection struct {
	conn     compat.PeerConn // what the transport made
	id       types.ID
	outbound bool
	channels [256]bool     // what the remote listens on
	gone     chan struct{} // closed when the connection is removed and its ID free

	// Set by the registry, under its lock.
	host netip.Prefix
	slot slot

	// Set by the admission, whose reference keeps them from being read before.
	peer    compat.PeerConn   // what InitPeer returned
	handles []compat.PeerConn // every PeerConn by which a reactor may know it
	inits   int               // reactors whose InitPeer has returned
	since   time.Time         // when it was started
	refusal error             // why it never ran; nil if it did

	mtx     sync.Mutex
	refs    int // whoever drops the last one removes the connection
	started bool
	closed  bool  // the gate is shut
	reason  error // why; set with closed

	out outboxes
}

// newConnection returns a connection with two references: one for being open,
// which stopping drops, and one for the admission.
func newConnection(conn compat.PeerConn) *connection {
	c := &connection{
		conn:     conn,
		id:       conn.ID(),
		outbound: conn.IsOutbound(),
		gone:     make(chan struct{}),
		refs:     2,
		out:      outboxes{backlogs: make(map[byte]*backlog)},
	}
	for _, ch := range conn.NodeInfo().Channels {
		c.channels[ch] = true
	}

	return c
}

// enter takes a reference unless the connection is closed.
func (c *connection) enter() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if c.closed {
		return false
	}
	c.refs++

	return true
}

// leave drops a reference and reports whether it was the last. References are
// taken only while the connection is open, so that happens once.
func (c *connection) leave() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.refs--

	return c.refs == 0
}

// shut closes the gate. It reports whether this call did it, and whether the
// peer was started by then.
func (c *connection) shut(reason error) (first, started bool) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if c.closed {
		return false, c.started
	}
	c.closed, c.reason = true, reason

	return true, c.started
}

// markStarted notes that the peer runs, and reports whether the connection was
// closed in the meantime.
func (c *connection) markStarted() (closed bool) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.started = true

	return c.closed
}

func (c *connection) isClosed() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.closed
}

func (c *connection) stopReason() error {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.reason
}

// stopped returns why the connection was closed, or nil while it is open.
func (c *connection) stopped() error {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if c.closed && c.reason == nil {
		return errPeerStopped
	}

	return c.reason
}

// lookup returns the connection of a peer, or nil.
func (sw *MultiplexSwitch) lookup(peer compat.PeerConn) *connection {
	c, ok := sw.conns.Load(peer)
	if !ok {
		return nil
	}

	return c.(*connection)
}

// stop shuts the gate, stops the peer and lets go of it. Only the first call
// for a connection does anything.
func (sw *MultiplexSwitch) stop(c *connection, reason error) {
	first, started := c.shut(reason)
	if !first {
		return
	}
	sw.Logger.Info("stopping peer", "peer", c.id, "address", c.conn.RemoteAddr(), "err", reason)
	if !started {
		return // the admission owns the peer until it runs, and stops it then
	}
	sw.halt(c)
	sw.release(c)
}

// halt stops the peer itself, and tells the remote why if the stack can.
func (sw *MultiplexSwitch) halt(c *connection) {
	err := stopPeer(c.peer, c.conn, c.stopReason())
	if err != nil && !errors.Is(err, service.ErrAlreadyStopped) {
		sw.Logger.Warn("peer did not stop cleanly", "peer", c.id, "address", c.conn.RemoteAddr(), "err", err)
		sw.closeConn(c.conn)
	}
}

// stopPeer stops the peer, for the reason if the stack can tell it. The peer may be
// a reactor's wrapper, whose Stop runs too; it need not know of reasons.
func stopPeer(peer, conn compat.PeerConn, reason error) error {
	s, ok := peer.(compat.ReasonStopper)
	if ok && reason != nil {
		return s.StopForReason(reason)
	}
	if s, ok = conn.(compat.ReasonStopper); !ok || reason == nil {
		return peer.Stop()
	}
	err := s.StopForReason(reason)
	if wrapperErr := peer.Stop(); !errors.Is(wrapperErr, service.ErrAlreadyStopped) {
		err = errors.Join(err, wrapperErr)
	}

	return err
}

func (sw *MultiplexSwitch) closeConn(conn compat.PeerConn) {
	if err := conn.CloseConn(); err != nil {
		sw.Logger.Debug("cannot close connection", "peer", conn.ID(), "address", conn.RemoteAddr(), "err", err)
	}
}

// release drops a reference and removes the connection if it was the last.
func (sw *MultiplexSwitch) release(c *connection) {
	if c.leave() {
		sw.remove(c)
	}
}

// remove takes a connection out of everything. It runs once, when nothing else
// runs for the connection any more.
func (sw *MultiplexSwitch) remove(c *connection) {
	reason := c.stopReason()
	if c.refusal != nil {
		reason = c.refusal
	}
	for _, r := range sw.reactors[:c.inits] {
		sw.guard(c, r.name, "RemovePeer", func() { r.RemovePeer(c.peer, reason) })
	}
	sw.peers.removeConnection(c)
	sw.untrack(c)
	sw.transport.Remove(c.conn)
	// Who hears of it may dial another peer at once. The ID is free only after the
	// event, so that the events of a peer that comes back follow.
	if c.outbound {
		sw.dials.lose(c.id)
	}
	sw.registry.vacate(c)
	if c.refusal != nil {
		sw.reportRefusal(c.id, c.conn.RemoteAddr(), c.outbound, reason)
		sw.free(c, 0)

		return
	}
	sw.events.Notify(events.PeerDisconnectedEvent{
		PeerID:   c.id,
		Address:  c.conn.RemoteAddr(),
		Reason:   reason,
		Outbound: c.outbound,
	})
	sw.free(c, time.Since(c.since))
}

// free gives the ID back, wakes whoever waits for that, and has the peer
// redialed if it is persistent.
func (sw *MultiplexSwitch) free(c *connection, uptime time.Duration) {
	sw.registry.release(c)
	close(c.gone)
	sw.redial(c.id, uptime)
}

// track lets the switch find the connection by a PeerConn.
func (sw *MultiplexSwitch) track(c *connection, handle compat.PeerConn) {
	c.handles = append(c.handles, handle)
	sw.conns.Store(handle, c)
}

func (sw *MultiplexSwitch) untrack(c *connection) {
	for _, h := range c.handles {
		sw.conns.Delete(h)
	}
}
