package lp2p

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
)

// connRef counts the sessions and handshakes on one libp2p connection.
type connRef struct {
	refs   int
	closed chan struct{} // not nil once the last one is gone; closed after Close
}

// retain keeps the connection open until release. It returns false when the
// connection, or the transport, is being closed.
func (t *Transport) retain(c network.Conn) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	ref := t.conns[c]
	switch {
	case t.closing:
		return false
	case ref == nil:
		ref = new(connRef)
		t.conns[c] = ref
		t.host.ConnManager().Protect(c.RemotePeer(), c.ID())
	case ref.closed != nil:
		return false
	}
	ref.refs++

	return true
}

// release undoes one retain; the last one closes the connection.
func (t *Transport) release(c network.Conn) {
	t.mtx.Lock()
	ref := t.conns[c]
	ref.refs--
	if ref.refs > 0 {
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
