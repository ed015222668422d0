package socket

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// minAcceptDelay and maxAcceptDelay bound the pause after a failing accept call, as when the
// process is out of file descriptors. It is doubled from failure to failure.
const minAcceptDelay, maxAcceptDelay = 5 * time.Millisecond, time.Second

// Accept calls accept with each connection of the listener, until that is closed or the
// context ends. It calls failed with each other error, and how long it then waits.
func Accept(ctx context.Context, l net.Listener, accept func(net.Conn), failed func(retryIn time.Duration, err error)) {
	var delay time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			accept(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			delay = min(max(2*delay, minAcceptDelay), maxAcceptDelay)
			failed(delay, err)
			if !task.Sleep(ctx, delay) {
				return
			}
		}
	}
}
