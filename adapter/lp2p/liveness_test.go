package lp2p

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// nativeLiveness is how long a native node takes to notice that its peer is gone:
// until its ping, and then until it misses the pong (docs/wire.md §5.2).
const nativeLiveness = (60 + 45) * time.Second

func TestDeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	ipA, ipB := net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2)
	for _, c := range []struct {
		name    string
		flood   bool // the node that is to notice sends all the time
		silence func(*memNet)
	}{
		{"HalfOpen", false, (*memNet).silence},
		{"HalfOpenWhileSending", true, (*memNet).silence},
		{"HearsUsOnly", false, func(n *memNet) { n.silenceFrom(ipB) }},
		{"HearsUsOnlyWhileSending", true, func(n *memNet) { n.silenceFrom(ipB) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet := newMemNet()
				a, b := memnet.newNode(t, ipA), memnet.newNode(t, ipB)
				b.reactor.discard = true
				pa, _ := connect(t, a, b)
				stop := func() {}
				if c.flood {
					stop = flood(pa)
				}
				defer stop()
				<-time.After(3 * time.Minute) // a live peer is kept, idle or not
				require.True(t, pa.IsRunning())
				require.Empty(t, a.failures)

				begun := time.Now()
				c.silence(memnet)
				select {
				case f := <-a.failures:
					require.Same(t, pa, f.peer)
				case <-time.After(time.Hour):
					require.Fail(t, "dead peer was not noticed")
				}
				took := time.Since(begun)
				t.Logf("noticed after %s", took)
				require.LessOrEqual(t, took, nativeLiveness)
				<-pa.Quit()
			})
		})
	}
}

func TestDeadPeerIsNoticedOverQUIC(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		t.Run(map[bool]string{false: "Idle", true: "WhileSending"}[busy], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}
				a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), udp.quic(t, "10.0.0.1"), WithQUICOnly())
				b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), udp.quic(t, "10.0.0.2"), WithQUICOnly())
				b.reactor.discard = true
				pa, pb := connect(t, a, b)
				require.Equal(t, "udp", pb.RemoteAddr().Network())
				stop := func() {}
				if busy {
					stop = flood(pa)
				}
				defer stop()
				<-time.After(3 * time.Minute)
				require.True(t, pa.IsRunning())
				require.Empty(t, a.failures)

				begun := time.Now()
				udp.silent.Store(true)
				select {
				case f := <-a.failures:
					require.Same(t, pa, f.peer)
				case <-time.After(time.Hour):
					require.Fail(t, "dead peer was not noticed")
				}
				t.Logf("noticed after %s", time.Since(begun))
				require.LessOrEqual(t, time.Since(begun), nativeLiveness)
				<-pa.Quit()
			})
		})
	}
}

// silentUDP is an internet that loses everything once it is silent.
type silentUDP struct {
	*internet
	silent atomic.Bool
}

// quic makes a node's QUIC use this internet, from one address.
func (n *silentUDP) quic(t testing.TB, ip string) Option {
	var cm *quicreuse.ConnManager
	t.Cleanup(func() { require.NoError(t, cm.Close()) })
	source := func() (quicreuse.SourceIPSelector, error) { return onlySource(netip.MustParseAddr(ip)), nil }

	return WithLibp2pOptions(libp2p.QUICReuse(
		func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (_ *quicreuse.ConnManager, err error) {
			cm, err = quicreuse.NewConnManager(reset, token,
				quicreuse.OverrideListenUDP(n.listen), quicreuse.OverrideSourceIPSelector(source))

			return cm, err
		}))
}

func (n *silentUDP) listen(network string, at *net.UDPAddr) (net.PacketConn, error) {
	c, err := n.internet.listen(network, at)

	return silencedConn{c, n}, err
}

type silencedConn struct {
	net.PacketConn
	net *silentUDP
}

func (c silencedConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if c.net.silent.Load() {
		return len(p), nil
	}

	return c.PacketConn.WriteTo(p, to)
}

// floodInterval leaves no time for a keep-alive, and 105 s fill every buffer.
const floodInterval = 2 * time.Second

// flood sends on a channel until its peer stops or the function it returns is
// called.
func flood(p *Peer) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		msg := make([]byte, 100<<10)
		for p.IsRunning() {
			p.Send(chA, msg)
			select {
			case <-done:
				return
			case <-time.After(floodInterval):
			}
		}
	})

	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// A Receive that takes long blocks the sender, but does not end the connection.
func TestBusyReceiverIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		free := make(chan struct{})
		b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
		b.reactor.discard = true
		pa, pb := connect(t, a, b)
		stop := flood(pa)
		defer stop()
		<-time.After(time.Hour)
		require.True(t, pa.IsRunning())
		require.True(t, pb.IsRunning())
		require.False(t, pa.TrySend(chA, make([]byte, 100<<10)), "nothing is taken")

		close(free)
		require.True(t, pa.Send(chA, []byte("once more")))
		stop()
		pa.FlushStop()
		<-b.failures // the goodbye
	})
}
