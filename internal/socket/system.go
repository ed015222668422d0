package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// System is the system's TCP. It implements compat.Sockets.
type System struct{}

// DialContext implements compat.Sockets.
func (System) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return Dial(ctx, new(net.Dialer), network, address)
}

// Dial is the method DialContext of a dialer without a Timeout or Deadline of its own, but
// its error is a context.DeadlineExceeded whenever the time of the context is over. Package
// net returns an error of the socket alone where the socket notices first.
func Dial(ctx context.Context, dialer *net.Dialer, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%w)", err, context.DeadlineExceeded)
	}

	return conn, err
}

// Listen implements compat.Sockets.
func (System) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
