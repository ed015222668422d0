package lp2p

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
)

// hush opens a stream of the protocol and goes no further.
func hush(t *testing.T, c network.Conn, proto protocol.ID) *stream.Stream {
	t.Helper()
	s, err := stream.Open(timeout(t), c, proto)
	require.NoError(t, err)

	return announced(t, s)
}

// strangers are connections from hosts of one /16, none of them with a session.
func (n *memNet) strangers(t *testing.T, to *node, hosts int) (conns []network.Conn) {
	t.Helper()
	for i := range hosts {
		a := n.newNode(t, net.IPv4(10, 1, byte(i), 1))
		require.NoError(t, a.Host().Connect(timeout(t), peer.AddrInfo{ID: to.Host().ID(), Addrs: to.Host().Addrs()}))
		conns = append(conns, a.Host().Network().ConnsToPeer(to.Host().ID())...)
	}

	return conns
}

// Where handshakes that say nothing take all places, and come again whenever one gives way,
// those of other networks get through all the same.
func TestSilentHandshakesKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.Handshakes, limits.HandshakesPerIP, limits.HandshakesPerPeer = 8, 2, 2
		memnet := newMemNet()
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		n.acceptLoop(t)
		conns := memnet.strangers(t, n, 5)
		for i := range 20 {
			for _, c := range conns {
				for range limits.HandshakesPerPeer {
					hush(t, c, SessionProtocol)
				}
			}
			synctest.Wait()
			require.Equal(t, limits.Handshakes, n.handshakes.places.Taken())
			honest := memnet.newNode(t, net.IPv4(10, byte(2+i), 0, 1))
			p, err := honest.dial(t, n)
			require.NoError(t, err)
			honest.Remove(p)
			synctest.Wait() // the node gives the place back after its Accept: else maybe after the strangers have come again
		}
	})
}

// A connection whose handshakes say nothing is not kept as one with a session is.
func TestSilentHandshakesProtectNoConnection(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	isProtected := func() bool { return n.Host().ConnManager().IsProtected(r.host.ID(), "") }
	handshakesOf(t, n, r, r.connect(n), 1)
	require.False(t, isProtected())
	r.session(n)
	require.True(t, isProtected())
}

// A data stream of a remote without a session is reset at once, and holds no place.
func TestDataStreamsOfStrangersAreReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 1))
		c := memnet.strangers(t, n, 1)[0]
		begun := time.Now()
		requireReset(t, hush(t, c, ChannelProtocol))
		require.Zero(t, time.Since(begun))
		require.Zero(t, n.headers.places.Taken())
	})
}

// Where peers with sessions take all places of data streams without a header, those of the
// most crowded network give way to the first message of another session.
func TestSilentDataStreamsEndNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.Handshakes, limits.HandshakesPerIP, limits.HandshakesPerPeer = 1, 1, 1
		memnet := newMemNet()
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		n.acceptLoop(t)
		dial := func(ip net.IP) *Peer {
			p, err := memnet.newNode(t, ip).dial(t, n)
			require.NoError(t, err)
			require.NoError(t, p.Start())
			synctest.Wait() // there is one place for a handshake

			return p
		}
		honest := dial(net.IPv4(10, 2, 0, 1))
		for i := range 2 {
			p := dial(net.IPv4(10, 1, byte(i), 1))
			for range 10 {
				hush(t, p.s.conn, ChannelProtocol)
			}
		}
		synctest.Wait()
		require.Equal(t, 16*limits.Handshakes, n.headers.places.Taken())
		require.True(t, honest.Send(chA, []byte("the first message on its channel")))
		n.reactor.await(t, 1)
		synctest.Wait()
		require.True(t, honest.IsRunning())
	})
}
