package lp2p

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// withTCP replaces the TCP transport of the host, and the dials that ask a node for its key.
// transport is libp2p.Transport of a constructor.
func withTCP(transport libp2p.Option, dial dialFunc) Option {
	return func(o *options) { o.tcp, o.sockets = transport, dial }
}

// DialContext implements compat.Sockets.
func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// Listen implements compat.Sockets.
func (dialFunc) Listen(string, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

// countedDials are the system's sockets, and count the dials.
type countedDials struct {
	socket.System

	dials atomic.Int32
}

func (s *countedDials) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.dials.Add(1)

	return s.System.DialContext(ctx, network, address)
}

// A node that is not known yet is asked over the given sockets, and dialed over them: by one
// connection, or by two if the first only asks.
func TestWithSocketsAsksThere(t *testing.T) {
	for first, dials := range map[Security]int32{SecurityNoise: 1, SecurityTLS: 2} {
		sockets := &countedDials{}
		a, b := newNode(t, nil, WithSockets(sockets), WithSecurity(first)), newNode(t, nil)
		connect(t, a, b)
		require.Equal(t, dials, sockets.dials.Load(), first)
	}
}
