package lp2p

import (
	"crypto/ed25519"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

func TestQUICListensBesideTCP(t *testing.T) {
	a := newNode(t, nil, WithQUIC())
	var tcp, udp []uint16
	for _, addr := range a.Host().Network().ListenAddresses() {
		ip, port, ok := p2paddr.Endpoint(addr)
		require.True(t, ok)
		require.Equal(t, "127.0.0.1", ip.String())
		if p2paddr.IsUDP(addr) {
			udp = append(udp, port)
		} else {
			tcp = append(tcp, port)
		}
	}
	require.Equal(t, []uint16{a.NetAddress().Port}, tcp)
	require.Equal(t, tcp, udp)

	require.Len(t, newNode(t, nil).Host().Network().ListenAddresses(), 1, "QUIC is an option")
}

// A port that is not free for UDP is not listened to at all.
func TestQUICPortInUse(t *testing.T) {
	ip := net.IPv4(127, 0, 0, 1)
	busy, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip, Port: int(stacktest.FreePortAt(t, ip))}) // free for TCP
	require.NoError(t, err)
	defer busy.Close()
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithQUIC())
	require.NoError(t, err)
	defer tr.Close()
	at := types.NetAddress{IP: net.IPv4(127, 0, 0, 1), Port: uint16(busy.LocalAddr().(*net.UDPAddr).Port)}
	require.ErrorContains(t, tr.Listen(at), "QUIC")
	require.Empty(t, tr.Host().Network().ListenAddresses())
	at.Port = 0
	require.NoError(t, tr.Listen(at), "the system finds one that is free for both")
	require.Len(t, tr.Host().Network().ListenAddresses(), 2)
}

func TestQUICAddresses(t *testing.T) {
	a, b := newNode(t, nil, WithQUICOnly()), newNode(t, nil, WithQUIC())
	pa, pb := connect(t, a, b)
	for _, c := range []struct {
		peer   *Peer
		remote types.NetAddress
	}{{pa, b.NetAddress()}, {pb, a.NetAddress()}} { // one socket listens and dials
		udp, ok := c.peer.RemoteAddr().(*net.UDPAddr)
		require.True(t, ok)
		require.Equal(t, c.remote.DialString(), udp.String())
		require.Equal(t, c.remote.String(), c.peer.SocketAddr().String())
		require.True(t, c.peer.RemoteIP().Equal(c.remote.IP))
		require.Nil(t, c.peer.LocalIP(), "it may move")
		require.Equal(t, "127.0.0.1/32", hostOf(c.peer.s.conn).String())
	}
}

func TestQUICWrongNode(t *testing.T) {
	a, b := newNode(t, nil, WithQUICOnly()), newNode(t, nil, WithQUICOnly())
	absent := types.GenerateNodeKey()
	id, err := p2paddr.PeerIDFromPublicKey(absent.PrivKey.Public().(ed25519.PublicKey))
	require.NoError(t, err)
	_, err = p2paddr.Learn(a.book, id) // no probe
	require.NoError(t, err)
	addr := b.NetAddress()
	addr.ID = absent.ID()

	_, err = a.Dial(timeout(t), addr, a.behavior)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, b.key.ID(), wrong.Found)
	require.Equal(t, absent.ID(), wrong.Asked)
}

func TestQUICBlock(t *testing.T) {
	a, b := newNode(t, nil, WithQUICOnly(), patientGoodbye()), newNode(t, nil, WithQUICOnly(), patientGoodbye())
	for _, c := range []struct {
		block   func() error
		unblock func()
	}{
		{func() error { return a.Block(b.key.ID()) }, func() { a.Unblock(b.key.ID()) }},
		{func() error { return a.BlockIP(b.NetAddress().IP) }, func() { a.UnblockIP(b.NetAddress().IP) }},
	} {
		_, pb := connect(t, a, b)
		require.NoError(t, c.block())
		requireBanned(t, b.failure(t).err, true)
		stopped(t, pb)
		_, err := b.dial(t, a) // perhaps before the connection is closed
		require.Error(t, err)
		require.Eventually(t, func() bool { return len(a.Host().Network().Conns()) == 0 }, patience, time.Millisecond)
		_, err = b.dial(t, a)
		require.Error(t, err)
		c.unblock()
	}
}

// A remote without QUIC costs the delay after which libp2p tries TCP, one with it
// nothing.
func TestDialPrefersQUIC(t *testing.T) {
	for _, c := range []struct {
		name  string
		ip    net.IP
		quic  bool
		delay time.Duration
	}{
		{"Private", net.IPv4(10, 0, 0, 2), false, 30 * time.Millisecond},
		{"Public", net.IPv4(8, 8, 4, 4), false, 250 * time.Millisecond},
		{"PrivateQUIC", net.IPv4(10, 0, 0, 2), true, 0},
		{"PublicQUIC", net.IPv4(8, 8, 4, 4), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}
				a := memnet.newNode(t, net.IPv4(8, 8, 8, 8), udp.quic(t, "8.8.8.8"), WithQUIC())
				var opts []Option
				if c.quic {
					opts = []Option{udp.quic(t, c.ip.String()), WithQUIC()}
				}
				b := memnet.newNode(t, c.ip, opts...)
				begun := time.Now()
				pa, pb := connect(t, a, b)
				require.Equal(t, c.delay, time.Since(begun))
				network := map[bool]string{true: "udp", false: "tcp"}[c.quic]
				require.Equal(t, network, pa.RemoteAddr().Network())
				require.Equal(t, network, pb.RemoteAddr().Network())
			})
		})
	}
}

// Sessions whose streams would not fit into a QUIC connection are refused, by
// whichever side has more channels.
func TestQUICSessionsPerConnection(t *testing.T) {
	many := func(info *types.NodeInfo) {
		for id := byte(1); len(info.Channels) < compat.MaxChannels; id++ {
			info.Channels = append(info.Channels, id)
		}
	}
	most := (quicStreams - quicSpareStreams) / (1 + compat.MaxChannels)
	for _, remote := range []bool{false, true} {
		changes := []func(*types.NodeInfo){many, nil}
		if remote {
			changes = []func(*types.NodeInfo){nil, many}
		}
		a, b := newNode(t, changes[0], WithQUICOnly()), newNode(t, changes[1], WithQUICOnly())
		b.acceptLoop(t)
		for range most {
			p, err := a.DialAs(timeout(t), b.NetAddress(), delegated(a), a.behavior)
			require.NoError(t, err)
			require.NoError(t, p.Start())
		}
		_, err := a.DialAs(timeout(t), b.NetAddress(), delegated(a), a.behavior)
		var reject *compat.RejectError
		require.ErrorAs(t, err, &reject)
		require.Equal(t, compat.RejectFull, reject.Code)
		require.Equal(t, remote, reject.Remote)
	}
}

func TestEndpoint(t *testing.T) {
	for s, want := range map[string]string{
		"/ip4/192.0.2.1/tcp/26656":                "192.0.2.1:26656",
		"/ip6/2001:db8::1/tcp/1":                  "[2001:db8::1]:1",
		"/ip4/192.0.2.1/udp/65535/quic-v1":        "192.0.2.1:65535",
		"/ip4/192.0.2.1":                          "",
		"/dns4/example.org/tcp/1":                 "",
		"/p2p-circuit":                            "",
		"/ip4/192.0.2.1/sctp/5":                   "",
		"/ip4/192.0.2.1/tcp/1/p2p-circuit":        "",
		"/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1": "[fe80::1]:1",
	} {
		a, err := multiaddr.NewMultiaddr(s)
		require.NoError(t, err)
		ip, port, ok := p2paddr.Endpoint(a)
		require.Equal(t, want != "", ok, s)
		if ok {
			require.Equal(t, want, (&net.TCPAddr{IP: ip, Port: int(port)}).String())
			require.Equal(t, want, p2paddr.NetAddr(a).String())
		} else {
			require.Equal(t, ":0", p2paddr.NetAddr(a).String())
		}
	}
}
