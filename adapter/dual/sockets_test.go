package dual_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// countingSockets are the system's, and counts how often they are used.
type countingSockets struct {
	socket.System

	dials, listens atomic.Int32
}

func (s *countingSockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.dials.Add(1)

	return s.System.DialContext(ctx, network, address)
}

func (s *countingSockets) Listen(network, address string) (net.Listener, error) {
	s.listens.Add(1)

	return s.System.Listen(network, address)
}

// Whatever a node listens to, and dials on either stack, goes over the given sockets.
func TestWithSockets(t *testing.T) {
	t.Parallel()
	for _, stack := range []dual.Stack{dual.StackNative, dual.StackDual, dual.StackLibp2p} {
		s := &countingSockets{}
		tr := kinds["dual"](t, loopbackSpec(), dual.WithStack(stack), dual.WithSockets(s))
		require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
		require.NoError(t, tr.Close())
		require.Equal(t, int32(1), s.listens.Load(), stack)
	}

	tr := kinds["dual"](t, loopbackSpec(), dual.WithSockets(nil)) // the system's
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	require.NoError(t, tr.Close())

	for policy, want := range map[dual.DialPolicy]map[string]int32{
		dual.DialAuto:        {"native": 1, "libp2p": 1},
		dual.DialNative:      {"native": 1},
		dual.DialLibp2p:      {"libp2p": 1},
		dual.DialLibp2pFirst: {"native": 2},
	} {
		for kind, dials := range want {
			s := &countingSockets{}
			dialer := newDialer(t, dual.WithDial(policy), dual.WithSockets(s), dual.WithQuiet(quietFor(kind)))
			remote, accepted := listen(t, kind, loopbackSpec())
			p, err := dialer.Dial(timeout(t), remote.NetAddress(), newBehavior())
			require.NoError(t, err, "%s to %s", policy, kind)
			require.NoError(t, p.Start())
			<-accepted
			require.Equal(t, dials, s.dials.Load(), "%s to %s", policy, kind)
		}
	}
}
