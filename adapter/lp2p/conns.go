package lp2p

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxRefused is how many handshakes may fail on an inbound connection without a session before it is
// closed. Its host is charged for the next one.
const maxRefused = 8

// connRef counts the users of one libp2p connection: sessions, handshakes and others.
type connRef struct {
	refs    int
	uses    int           // how often it was kept
	refused int           // handshakes that have failed, see closeUnused
	tag     string        // protects it from the connection manager; set by a session
	yield   func()        // lets it give way again; set with tag
	session bool          // it has carried a session, or the handshake of one
	close   bool          // the last user closes it
	met     bool          // it was made after a meeting at a relay
	carried bool          // a session on it has started, see noteSession
	closed  chan struct{} // made when the last user has gone, closed when the connection is
	past    atomic.Int64  // inbound sessions that have ended and were not charged yet
}

// retain keeps the connection open for a session until release. It returns false
// when the connection, or the transport, is being closed.
func (t *Transport) retain(c network.Conn) bool {
	if !t.retainUnproved(c) {
		return false
	}
	t.protect(c)

	return true
}

// retainUnproved is retain for an inbound handshake. Until protect, the connection manager may
// close the connection, and until its Hello has come it may have to give way, so that streams
// that say nothing keep none open. Unless closeUnused is
// called too, the connection is left to the remote to close.
func (t *Transport) retainUnproved(c network.Conn) bool {
	return t.keep(c, func(ref *connRef) { ref.session = true })
}

// hold is retain for a user that is no session. A connection that the remote has opened,
// and that has carried none, is left to the remote to close.
func (t *Transport) hold(c network.Conn) bool { return t.keep(c, func(*connRef) {}) }

func (t *Transport) keep(c network.Conn, note func(*connRef)) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	ref := t.conns[c]
	switch {
	case t.closing:
		return false
	case ref == nil:
		ref = &connRef{close: c.Stat().Direction == network.DirOutbound}
		t.conns[c] = ref
	case ref.closed != nil:
		return false
	}
	note(ref)
	ref.refs++
	ref.uses++

	return true
}

// protect keeps a connection that the caller has retained from being closed by the connection
// manager, or to make room. The last user closes it.
func (t *Transport) protect(c network.Conn) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	ref := t.conns[c]
	ref.close = true
	if ref.tag == "" {
		ref.tag, ref.yield = c.ID(), inboundScopeOf(c).keep()
		t.host.ConnManager().Protect(c.RemotePeer(), ref.tag)
	}
}

// noteSession notes that a session on the connection has started: the switch has a place for its
// peer. The observer may count what the peer says.
func (t *Transport) noteSession(c network.Conn) {
	t.mtx.Lock()
	if ref := t.conns[c]; ref != nil {
		ref.carried = true
	}
	t.mtx.Unlock()
	select {
	case t.begun <- struct{}{}:
	default:
	}
}

// hasCarried reports whether a session on the connection has started, and the connection is in use.
func (t *Transport) hasCarried(c network.Conn) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	ref := t.conns[c]

	return ref != nil && ref.carried && ref.closed == nil
}

// closeUnused lets the last user close a connection that the caller has retained for a handshake,
// which has failed. A bridge may present many nodes in a moment at which this one has no slot for
// them, or is stopping, so such refusals of delegated nodes do not count.
func (t *Transport) closeUnused(c network.Conn, delegated bool, reason error) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	ref := t.conns[c]
	ref.close = true
	if r, ok := refusalOf(reason); ok && delegated && slices.Contains(ofThisNode, r.Code) {
		return
	}
	ref.refused++
}

// ofThisNode are the refusals that say nothing of the remote, only of this node at the moment.
var ofThisNode = []compat.RejectCode{
	compat.RejectFull, compat.RejectDuplicate, compat.RejectUnavailable, compat.RejectClosing,
}

// shared returns a function that reports whether a connection, which the caller has kept for a
// dial that began then, may have been closed without regard to the dial. The last user closes a
// connection, at either end. So one that the remote has opened may be closed, or is older than the
// dial, or has had other users by now. If the remote is connected still, it has just used another.
func (t *Transport) shared(c network.Conn, begun time.Time) func() bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	ref, other := t.conns[c], c.Stat().Direction == network.DirInbound || c.Stat().Opened.Before(begun)

	return func() bool {
		t.mtx.Lock()
		defer t.mtx.Unlock()

		return other || ref.uses > 1 || t.host.Network().Connectedness(c.RemotePeer()) == network.Connected
	}
}

// release undoes one retain or hold; the last one closes the connection. It is closed sooner when
// many handshakes have failed on it and there is no session.
func (t *Transport) release(c network.Conn) {
	t.mtx.Lock()
	ref := t.conns[c]
	if ref.refs--; ref.refs > 0 {
		tiresome := ref.refused >= maxRefused && ref.tag == "" &&
			c.Stat().Direction == network.DirInbound && !t.carriesCircuits(c.RemotePeer())
		t.mtx.Unlock()
		if tiresome {
			t.closeConn(c)
		}

		return
	}
	// That of a blocked node is closed in any case.
	closing := ref.close && !t.carriesCircuits(c.RemotePeer()) || t.gater.blockedConn(c)
	if closing {
		ref.closed = make(chan struct{})
	} else if ref.past.Load() == 0 || c.IsClosed() {
		delete(t.conns, c) // else disconnected does
	}
	if ref.tag != "" {
		t.host.ConnManager().Unprotect(c.RemotePeer(), ref.tag)
		ref.tag = ""
		ref.yield()
	}
	t.mtx.Unlock()
	if !closing {
		return
	}

	t.closeConn(c)
	t.mtx.Lock()
	defer t.mtx.Unlock()
	delete(t.conns, c)
	close(ref.closed)
}

func (t *Transport) closeConn(c network.Conn) {
	if err := c.Close(); err != nil {
		t.logger.Debug("connection did not close cleanly", "peer", c.RemotePeer(), "err", err)
	}
}

// disconnected forgets what was kept of a connection that has ended.
func (t *Transport) disconnected(n network.Network, c network.Conn) {
	t.forgetNamed(n, c)
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if ref := t.conns[c]; ref != nil && ref.refs == 0 && ref.closed == nil {
		delete(t.conns, c)
	}
}

// past returns how many inbound sessions on a retained connection have ended and were not
// charged yet.
func (t *Transport) past(c network.Conn) *atomic.Int64 {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return &t.conns[c].past
}

// awaitClosed waits until a connection that could not be retained is closed. It returns
// compat.ErrTransportClosed when the transport itself is being closed.
func (t *Transport) awaitClosed(ctx context.Context, c network.Conn) error {
	t.mtx.Lock()
	closing := t.closing
	var closed chan struct{}
	if ref := t.conns[c]; ref != nil {
		closed = ref.closed
	}
	t.mtx.Unlock()
	switch {
	case closing:
		return compat.ErrTransportClosed
	case closed == nil:
		return nil
	}

	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the former connection to close: %w", ctx.Err())
	}
}

const (
	// quicStreams is how many streams go-libp2p lets a remote have open on one
	// QUIC connection (its quicreuse package); opening one more waits.
	quicStreams = 256
	// quicSpareStreams are for streams that belong to no session.
	quicSpareStreams = 32
)

// checkRoom refuses a session if its streams do not fit into the QUIC connection, which the
// caller has retained for it.
func (t *Transport) checkRoom(c network.Conn) error {
	if !p2paddr.IsUDP(c.RemoteMultiaddr()) {
		return nil
	}
	t.mtx.Lock()
	defer t.mtx.Unlock()

	most := (quicStreams - quicSpareStreams) / (1 + len(t.nodeInfo.Channels))
	if ref := t.conns[c]; ref != nil && ref.refs > most {
		return compat.Reject(compat.RejectFull, "more than %d sessions on a QUIC connection", most)
	}

	return nil
}

func (t inner) Connect(ctx context.Context, p peer.ID) (network.Conn, func(), error) {
	if err := t.enter(); err != nil {
		return nil, nil, err
	}
	defer t.tasks.Done()

	ctx, cancel := t.untilClose(ctx)
	defer cancel()
	c, err := t.dialPeer(ctx, p, nil, t.hold)
	if err != nil {
		return nil, nil, fmt.Errorf("unable to connect to %s: %w", p, err)
	}

	return c, func() { t.release(c) }, nil
}

func (t inner) DialAddrs(addr types.NetAddress) []multiaddr.Multiaddr {
	addrs, err := t.opts.dialAddrs(addr.IP, addr.Port)
	if err != nil {
		return nil // only for an address without an IP
	}

	return addrs
}

func (t inner) Met(c network.Conn) bool { return t.met(c) }

func (t inner) Hold(c network.Conn) (release func(), ok bool) {
	if !t.hold(c) {
		return nil, false
	}

	return func() { t.release(c) }, true
}
