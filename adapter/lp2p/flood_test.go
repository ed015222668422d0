package lp2p

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// otherHost is a loopback address from which nothing else in the tests comes.
var otherHost = net.IPv4(127, 0, 0, 66)

// from lets a host dial from an IP.
func from(ip net.IP) libp2p.Option {
	dialer := func(multiaddr.Multiaddr) (tcp.ContextDialer, error) {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}, nil
	}

	return libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(), tcp.WithDialerForAddr(dialer))
}

// newRawAt is newRaw for a host that dials from the IP.
func newRawAt(t testing.TB, ip net.IP) *raw {
	t.Helper()
	key := types.GenerateNodeKey()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}
	o, err := newOptions([]Option{WithTimeouts(patientTimeouts()), withTCP(from(ip), dialer.DialContext)})
	require.NoError(t, err)
	h, err := newHost(key.PrivKey, o, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })

	return &raw{t: t, host: h, key: key, info: nodeInfo(key.ID())}
}

// floodStreams connects six peers of otherHost to the node, each of which opens as many streams as
// it can and proposes no protocol.
func floodStreams(t *testing.T, n *node) {
	t.Helper()
	conns := make([]network.Conn, 6)
	for i := range conns {
		conns[i] = newRawAt(t, otherHost).connect(n)
	}
	openStreams(t, conns, 300)
}

// openStreams opens so many streams on each connection, or as many as it can.
func openStreams(t *testing.T, conns []network.Conn, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for range each {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := c.NewStream(ctx)
				cancel()
				if err != nil {
					return // the node takes no more
				}
			}
		})
	}
	wg.Wait()
}

// Streams without a protocol keep neither strangers nor the channels of a session out.
func TestStreamsWithoutProtocol(t *testing.T) {
	n := newNode(t, nil, WithPeerLimits(4, 2, false))
	n.acceptLoop(t)
	a := newNode(t, nil)
	p, err := a.dial(t, n)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	floodStreams(t, n)

	require.True(t, p.Send(chA, []byte("the first message on its channel")))
	n.reactor.await(t, 1)
	require.True(t, p.IsRunning())
	for range 20 {
		honest := newNode(t, nil)
		p, err := honest.dial(t, n)
		require.NoError(t, err)
		honest.Remove(p)
	}
}

// The same holds between public addresses, for which libp2p has limits of its own, and with no
// option set.
func TestStreamsWithoutProtocolAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	n, _ := newLoggedNode(t, net.IPv4zero, WithTimeouts(DefaultTimeouts()))
	n.acceptLoop(t)
	addr := n.NetAddress()
	addr.IP = net.IPv4(8, 8, 8, 8)
	at, err := p2paddr.TCPMultiaddr(addr.IP, addr.Port)
	require.NoError(t, err)
	dial := func(ip string) compat.PeerConn {
		a := newDialer(t, ip)
		t.Cleanup(func() { require.NoError(t, a.Close()) })
		ctx, begun := timeout(t), time.Now()
		p, err := a.Dial(ctx, addr, a.behavior)
		for err != nil && time.Since(begun) >= DefaultTimeouts().Handshake && ctx.Err() == nil {
			t.Logf("a late dial from %s: %v", ip, err)
			begun = time.Now()
			p, err = a.Dial(ctx, addr, a.behavior)
		}
		require.NoError(t, err, ip)
		require.NoError(t, p.Start())

		return p
	}
	p := dial("51.0.0.1")
	var conns []network.Conn
	for range 6 {
		stranger := newDialer(t, "60.1.1.1")
		t.Cleanup(func() { require.NoError(t, stranger.Close()) })
		require.NoError(t, stranger.Host().Connect(timeout(t), peer.AddrInfo{ID: n.Host().ID(), Addrs: []multiaddr.Multiaddr{at}}))
		conns = append(conns, stranger.Host().Network().ConnsToPeer(n.Host().ID())...)
	}
	openStreams(t, conns, 3000)

	require.True(t, p.Send(chA, []byte("the first message on its channel")))
	n.reactor.await(t, 1)
	require.True(t, p.IsRunning())
	for i := range 20 {
		dial(fmt.Sprintf("51.%d.0.2", i))
	}
}

// A remote has the handshake timeout to propose a protocol.
func TestSlowProposal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		require.True(t, a.holds(t, b))
		s, err := a.Host().Network().ConnsToPeer(b.Host().ID())[0].NewStream(timeout(t))
		require.NoError(t, err)
		begun := time.Now()
		_, err = s.Write([]byte{19}) // the length of the first line
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, s)
		require.ErrorIs(t, err, network.ErrReset)
		require.Equal(t, DefaultTimeouts().Handshake, time.Since(begun))
	})
}

// exempting is a switch with a configured peer.
type exempting struct {
	*behavior
	peer types.ID
}

func (e exempting) IsExemptPeer(id types.ID) bool { return id == e.peer }

// A configured peer gets in although strangers of its own IP have all places, and takes none
// of them.
func TestConfiguredPeerHasPlaces(t *testing.T) {
	limits := DefaultLimits()
	limits.Handshakes = 3
	n, configured := newNode(t, nil, WithLimits(limits)), newNode(t, nil)
	var served compat.PeerBehavior = exempting{n.behavior, configured.key.ID()}
	n.served.Store(&served)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if p, err := n.Accept(timeout(t), served); err == nil {
			_ = p.Start()
		}
	}()
	r := newRaw(t)
	handshakesOf(t, n, r, r.connect(n), limits.Handshakes)
	p, err := configured.dial(t, n)
	require.NoError(t, err)
	<-accepted
	require.NoError(t, p.Start())
	require.True(t, p.Send(chA, []byte("in")))
	n.reactor.await(t, 1)
	require.Eventually(t, func() bool { return n.handshakes.places.Taken() == limits.Handshakes }, patience, time.Millisecond)
}

// A stranger that has to give way hears that the node is busy, which does not make the node
// look gone.
func TestWhoGivesWayHearsBusy(t *testing.T) {
	limits := DefaultLimits()
	limits.Handshakes = 1
	n, stranger := newNode(t, nil, WithLimits(limits)), newNode(t, nil)
	dialed := make(chan error, 1)
	go func() {
		_, err := stranger.Dial(timeout(t), n.NetAddress(), stranger.behavior)
		dialed <- err
	}()
	_, err := n.AcceptPending(timeout(t))
	require.NoError(t, err)
	r := newRaw(t)
	announced(t, r.open(r.connect(n), false))
	err = <-dialed
	require.ErrorIs(t, err, compat.ErrBusy)
	require.Equal(t, compat.DialBusy, compat.ClassifyDial(err))
	require.True(t, compat.ClassifyDial(err).Answered(), "the node is not gone")
}

// Where streams without a protocol take all places, those of the most crowded network give
// way, from however many hosts they are.
func TestStreamsOfManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.Handshakes = 4
		memnet := newMemNet()
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		n.acceptLoop(t)
		for i := range 4*limits.Handshakes + 4 {
			a := memnet.newNode(t, net.IPv4(10, 1, byte(i), 1))
			require.NoError(t, a.Host().Connect(timeout(t), peer.AddrInfo{ID: n.Host().ID(), Addrs: n.Host().Addrs()}))
			_, err := a.Host().Network().ConnsToPeer(n.Host().ID())[0].NewStream(timeout(t))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 4*limits.Handshakes, n.proposals.Taken())
		for i := range 20 {
			honest := memnet.newNode(t, net.IPv4(10, byte(2+i), 0, 1))
			p, err := honest.dial(t, n)
			require.NoError(t, err)
			honest.Remove(p)
		}
	})
}
