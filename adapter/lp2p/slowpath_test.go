package lp2p

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// slowPath is a path of 2 Mbit/s.
func slowPath() stacktest.Path {
	return stacktest.Path{Delay: 50 * time.Millisecond, Rate: 250_000, Unsent: socket.MaxUnsent}
}

// fixedSockets gives a dialer connections whose unsent data keeps one limit.
type fixedSockets struct{ compat.Sockets }

func (s fixedSockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.Sockets.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}

	return stacktest.Fixed{Conn: conn}, nil
}

// newNodeOn returns a node with these sockets that is closed with the test.
func newNodeOn(t *testing.T, sockets compat.Sockets, ip net.IP, opts ...Option) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	tr, err := NewTransport(info, *key, nil, append(opts, WithSockets(sockets))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip, Port: memPort}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}
}

// urgentDelays measures how long a message of high priority takes under bulk.
func urgentDelays(t *testing.T, fixed bool) (p50, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		network := &stacktest.Network{Path: slowPath()}
		var sockets compat.Sockets = network.Host(net.IPv4(10, 0, 0, 1))
		if fixed {
			sockets = fixedSockets{sockets}
		}
		a := newNodeOn(t, sockets, net.IPv4(10, 0, 0, 1))
		b := newNodeOn(t, network.Host(net.IPv4(10, 0, 0, 2)), net.IPv4(10, 0, 0, 2))
		received := make(chan struct{})
		b.reactor.discard = true
		b.reactor.hook = func(channel byte, _ compat.PeerConn, _ []byte) {
			if channel == chC {
				received <- struct{}{}
			}
		}
		pa, _ := connect(t, a, b)
		p50, longest = stacktest.UrgentDelays(t, network.Path,
			func(msg []byte) bool { return pa.Send(chA, msg) },
			func(msg []byte) bool { return pa.Send(chC, msg) },
			received, func() { require.NoError(t, pa.Stop()) })
	})

	return p50, longest
}

// Little waits below the channels of a slow path, so that an urgent message overtakes bulk data
// soon. At the default limits it would wait for most of a second.
func TestUrgentMessageOnASlowPath(t *testing.T) {
	p50, longest := urgentDelays(t, false)
	fixed50, fixedLongest := urgentDelays(t, true)
	t.Logf("p50 %v, longest %v; with fixed limits %v, %v", p50, longest, fixed50, fixedLongest)
	require.Less(t, longest, 150*time.Millisecond)
	require.Less(t, longest, fixed50/2)
}
