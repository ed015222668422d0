package stacktest

import (
	"context"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// SocketsFrom are the system's for a node that dials from one IP. It implements
// compat.Sockets.
type SocketsFrom struct {
	socket.System

	IP net.IP
}

// DialContext implements compat.Sockets.
func (s SocketsFrom) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: s.IP}}).DialContext(ctx, network, address)
}
