package adapter

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// errPeerStopped is the reason of a removal after a direct call of the peer's Stop.
var errPeerStopped = errors.New("peer was stopped")

// connection is what the switch knows of one connection, from the reservation
// of its ID until its removal.
type connection struct {
	conn     compat.PeerConn // what the transport made
	id       types.ID
	outbound bool
	source   types.ID      // who told its address, if this node dialed it
	channels [256]bool     // what the remote listens on
	gone     chan struct{} // closed when the connection is removed and its ID free
	local    localAddress

	// Set by the registry, under its lock.
	host     netip.Prefix // of the connection
	place    place
	networks [netgroup.Widths]netip.Prefix // around the host, the widest first
	slot     slot
	evicted  bool // another peer gave way to it

	// Set by the admission, and read only after it has dropped its reference.
	peer    compat.PeerConn   // what InitPeer returned
	handles []compat.PeerConn // every PeerConn by which a reactor may know it
	inits   int               // reactors whose InitPeer has returned
	refusal error             // why it never ran; nil if it did

	mtx     sync.Mutex
	refs    int // dropping the last one removes the connection
	started bool
	since   time.Time // when it was started
	closed  bool      // the gate is closed
	reason  error     // why; set with closed

	out outboxes
}

// newConnection returns a connection with two references: one for being open, which stop
// drops, and one for the admission.
func newConnection(conn compat.PeerConn) *connection {
	c := &connection{
		conn:     conn,
		id:       conn.ID(),
		outbound: conn.IsOutbound(),
		gone:     make(chan struct{}),
		refs:     2,
		local:    localAddressOf(conn),
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

// leave drops a reference and reports whether it was the last, which is true once: no
// reference is taken after the connection is closed.
func (c *connection) leave() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.refs--

	return c.refs == 0
}

// shut closes the gate. It reports whether this call closed it, and whether the peer was
// started by then.
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
	c.started, c.since = true, time.Now()

	return c.closed
}

func (c *connection) isClosed() bool {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.closed
}

// runsSince returns when the peer was started, or false if it does not run.
func (c *connection) runsSince() (since time.Time, runs bool) {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return c.since, c.started && !c.closed
}

// uptime returns how long the peer has run, closed or not: zero if it was not started.
func (c *connection) uptime() time.Duration {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if !c.started {
		return 0
	}

	return time.Since(c.since)
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
