package lp2p

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/stretchr/testify/require"
)

func TestWithTCPNeedsBoth(t *testing.T) {
	_, err := newOptions([]Option{WithTCP(nil, new(net.Dialer).DialContext)})
	require.ErrorContains(t, err, "transport and a dialer")
	_, err = newOptions([]Option{WithTCP(libp2p.Transport(tcp.NewTCPTransport), nil)})
	require.ErrorContains(t, err, "transport and a dialer")
}

// A node that is not known yet is asked over the given network.
func TestWithTCPAsksThere(t *testing.T) {
	var asked atomic.Int32
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		asked.Add(1)

		return new(net.Dialer).DialContext(ctx, network, address)
	}
	a, b := newNode(t, nil, WithTCP(libp2p.Transport(tcp.NewTCPTransport), dial)), newNode(t, nil)
	connect(t, a, b)
	require.Equal(t, int32(1), asked.Load())
}
