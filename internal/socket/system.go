package socket

import (
	"context"
	"net"
)

// System is the system's TCP. It implements compat.Sockets.
type System struct{}

// DialContext implements compat.Sockets.
func (System) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Listen implements compat.Sockets.
func (System) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
