package simnet

import (
	"context"
	"net"
	"sync"
)

// backlog is how many connections may wait for Accept. A further dial waits for room, as when
// its first packet is lost and sent again.
const backlog = 4096

type listener struct {
	host    *Host
	port    uint16
	waiting chan *conn

	once   sync.Once
	closed chan struct{}
}

func newListener(h *Host, port uint16) *listener {
	return &listener{host: h, port: port, waiting: make(chan *conn, backlog), closed: make(chan struct{})}
}

// offer queues a connection for Accept. Close closes connections that were not accepted.
func (l *listener) offer(ctx context.Context, c *conn) error {
	select {
	case l.waiting <- c:
	case <-l.closed:
		return c.Close()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-l.closed:
		l.drain() // Close may have run before
	default:
	}

	return nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.errClosed()
	default:
	}
	select {
	case c := <-l.waiting:
		l.host.accepts.Add(1)

		return c, nil
	case <-l.closed:
		return nil, l.errClosed()
	}
}

func (l *listener) errClosed() error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.host.mtx.Lock()
		delete(l.host.listeners, l.port)
		l.host.mtx.Unlock()
		close(l.closed)
		l.drain()
	})

	return nil
}

func (l *listener) drain() {
	for {
		select {
		case c := <-l.waiting:
			_ = c.Close() // never used
		default:
			return
		}
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.host.addr(l.port) }
