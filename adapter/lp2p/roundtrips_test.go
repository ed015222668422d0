package lp2p

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// farNodes returns two nodes that are 100 ms apart, in both directions together. It belongs in a
// bubble of testing/synctest.
func farNodes(t *testing.T, opts ...Option) (network *stacktest.Network, a, b *node) {
	t.Helper()
	network = &stacktest.Network{Path: stacktest.Path{Delay: 50 * time.Millisecond, Rate: 1 << 40, Unsent: 1 << 20}}
	here, there := net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2)

	return network, newNodeOn(t, network.Host(here), here, opts...), newNodeOn(t, network.Host(there), there, opts...)
}

// trips returns how many round trips a dial takes until the session stands.
func trips(t *testing.T, network *stacktest.Network, a, b *node) (*Peer, float64) {
	t.Helper()
	begun := time.Now()
	p, err := a.dial(t, b)
	require.NoError(t, err)

	return p, time.Since(begun).Seconds() / (2 * network.Delay.Seconds())
}

// Connecting takes four round trips, and the first contact with a peer no more: TCP, the choice
// of the security protocol, its handshake, which agrees on the muxer too, and the session's own.
func TestRoundTripsToConnect(t *testing.T) {
	for _, c := range []struct {
		security     Security
		first, later float64
		dials        int
	}{
		{SecurityNoise, 4, 4, 1},
		{SecurityTLS, 7, 4, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			network, a, b := farNodes(t, WithSecurity(c.security))
			b.acceptLoop(t)
			p, first := trips(t, network, a, b)
			require.Equal(t, c.dials, network.Dials(), "connections of the first contact")
			require.Equal(t, protocols[c.security], p.s.conn.ConnState().Security)
			require.NoError(t, p.Start())
			require.NoError(t, p.Stop())
			require.NoError(t, a.Host().Network().ClosePeer(b.Host().ID()))
			synctest.Wait()
			time.Sleep(time.Second) // until the remote has noticed it
			_, later := trips(t, network, a, b)
			t.Logf("%s: first contact %.2f, later %.2f round trips", c.security, first, later)
			require.InDelta(t, c.first, first, 0.01)
			require.InDelta(t, c.later, later, 0.01)
		})
	}
}

var protocols = map[Security]protocol.ID{SecurityNoise: noise.ID, SecurityTLS: tls.ID}

// The default proposes Noise.
func TestNoiseIsTheDefault(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	p, _ := connect(t, a, b)
	require.EqualValues(t, noise.ID, p.s.conn.ConnState().Security)
}

// A node shows its ID only to the peer that it wants, also where it does not know that peer's
// key, and leaves no connection to another one.
func TestFirstContactWithAnotherNodeRevealsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, a, b := farNodes(t)
		addr := b.NetAddress()
		addr.ID = newNodeOn(t, network.Host(net.IPv4(10, 0, 0, 3)), net.IPv4(10, 0, 0, 3)).NetAddress().ID
		_, err := a.Dial(context.Background(), addr, a.behavior)
		var wrong *compat.WrongIDError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, b.key.ID(), wrong.Found)
		time.Sleep(time.Second)
		require.Empty(t, b.Host().Network().Peers())
		require.NotContains(t, b.Host().Peerstore().Peers(), a.Host().ID(), "it has not learned who asked")
		require.Empty(t, a.Host().Network().Peers())
	})
}

// A first contact that is not needed, since the remote has connected meanwhile, is closed before
// the session begins: the remote could use the connection, which nobody serves here.
func TestFirstContactIsNotKeptBesideAnotherConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, a, b := farNodes(t)
		b.Host().Peerstore().AddAddrs(a.Host().ID(), a.Host().Addrs(), time.Hour)
		_, err := b.Host().Network().DialPeer(t.Context(), a.Host().ID())
		require.NoError(t, err)
		time.Sleep(time.Second)
		made := network.Dials()

		dialed := make(chan error, 1)
		go func() {
			_, err := a.Dial(t.Context(), b.NetAddress(), a.behavior)
			dialed <- err
		}()
		time.Sleep(2 * time.Second) // nobody answers the session yet
		require.Equal(t, made+1, network.Dials())
		require.Len(t, b.Host().Network().ConnsToPeer(a.Host().ID()), 1)
		b.acceptLoop(t)
		require.NoError(t, <-dialed)
	})
}
