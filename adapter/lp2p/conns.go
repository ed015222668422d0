package lp2p

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
)

// connRef counts who uses one libp2p connection: sessions and handshakes, and
// those that hold it for something else.
type connRef struct {
	refs    int
	session bool          // it has carried a session
	close   bool          // it is closed after the last of them
	met     bool          // it came about after a meeting at a relay
	closed  chan struct{} // not nil once the last one is gone; closed after Close
}

// retain keeps the connection open for a session until release. It returns false
// when the connection, or the transport, is being closed.
func (t *Transport) retain(c network.Conn) bool { return t.keep(c, true) }

// hold keeps the connection open for something that is no session until release.
// A connection that the remote has opened for such a thing is the remote's to
// close.
func (t *Transport) hold(c network.Conn) bool { return t.keep(c, false) }

func (t *Transport) keep(c network.Conn, session bool) bool {
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
	if session && !ref.session {
		ref.session, ref.close = true, true
		t.host.ConnManager().Protect(c.RemotePeer(), c.ID())
	}
	ref.refs++

	return true
}

// release undoes one retain or hold; the last one closes the connection.
func (t *Transport) release(c network.Conn) {
	t.mtx.Lock()
	ref := t.conns[c]
	ref.refs--
	if ref.refs > 0 {
		t.mtx.Unlock()

		return
	}
	// A blocked node keeps none, whatever else it is used for.
	if (!ref.close || t.carriesCircuits(c.RemotePeer())) && !t.gater.blockedConn(c) {
		delete(t.conns, c)
		t.host.ConnManager().Unprotect(c.RemotePeer(), c.ID())
		t.mtx.Unlock()

		return
	}
	ref.closed = make(chan struct{})
	t.mtx.Unlock()

	t.host.ConnManager().Unprotect(c.RemotePeer(), c.ID())
	if err := c.Close(); err != nil {
		t.logger.Debug("connection did not close cleanly", "peer", c.RemotePeer(), "err", err)
	}

	t.mtx.Lock()
	defer t.mtx.Unlock()
	delete(t.conns, c)
	close(ref.closed)
}

// awaitClosed waits until a connection that could not be retained is closed.
func (t *Transport) awaitClosed(ctx context.Context, c network.Conn) error {
	t.mtx.Lock()
	ref := t.conns[c]
	t.mtx.Unlock()
	if ref == nil {
		return nil
	}

	select {
	case <-ref.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the former connection to close: %w", ctx.Err())
	}
}
