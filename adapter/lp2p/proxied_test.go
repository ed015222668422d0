package lp2p

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// startProxy forwards each connection to the node, after the header, and returns where the
// node is found behind it.
func startProxy(t *testing.T, to *node, header []byte) types.NetAddress {
	t.Helper()
	addr := to.NetAddress()
	addr.Port = uint16(stacktest.StartProxy(t, addr.DialString(), header).Port)

	return addr
}

// newProxied returns a node that listens behind a proxy on loopback.
func newProxied(t *testing.T, opts ...Option) (*node, *stacktest.Log) {
	t.Helper()

	return newLoggedNode(t, net.IPv4(127, 0, 0, 1), append(opts, WithProxyProtocol(netip.MustParsePrefix("127.0.0.0/8")))...)
}

// dialAt makes a session with the node at the address and starts both ends.
func dialAt(t *testing.T, addr types.NetAddress, to *node) (in *Peer) {
	t.Helper()
	got := make(chan *Peer, 1)
	go func() {
		defer close(got)
		if p, err := to.Accept(timeout(t), to.behavior); err == nil {
			got <- p.(*Peer)
		}
	}()
	dialer := newNode(t, nil)
	out, err := dialer.Dial(timeout(t), addr, dialer.behavior)
	require.NoError(t, err)
	in = <-got
	require.NotNil(t, in)
	require.NoError(t, out.Start())
	require.NoError(t, in.Start())
	require.True(t, out.Send(chA, []byte("hello")))
	to.reactor.await(t, 1)

	return in
}

// A node behind a proxy sees the address of the client, and messages pass.
func TestProxyProtocolShowsTheClient(t *testing.T) {
	const proxy, local = proxyproto.PROXY, proxyproto.LOCAL
	for name, c := range map[string]struct {
		header []byte
		want   string
	}{
		"v1":         {stacktest.ProxyHeader(t, 1, "203.0.113.7", proxy), "203.0.113.7"},
		"v1, IPv6":   {stacktest.ProxyHeader(t, 1, "2001:db8::7", proxy), "2001:db8::7"},
		"v2":         {stacktest.ProxyHeader(t, 2, "203.0.113.7", proxy), "203.0.113.7"},
		"v2, IPv6":   {stacktest.ProxyHeader(t, 2, "2001:db8::7", proxy), "2001:db8::7"},
		"v2 local":   {stacktest.ProxyHeader(t, 2, "203.0.113.7", local), "127.0.0.1"},
		"v1 unknown": {[]byte("PROXY UNKNOWN\r\n"), "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, _ := newProxied(t)
			in := dialAt(t, startProxy(t, listener, c.header), listener)
			require.Equal(t, c.want, in.RemoteIP().String())
			require.Equal(t, c.want, ipOf(in.s.conn.RemoteMultiaddr()).String())
		})
	}
}

// The gater and the resource manager judge the client, not the proxy, whose loopback
// address has no limit.
func TestProxiedClientsAreJudged(t *testing.T) {
	limits := DefaultLimits()
	limits.ConnectionsPerIP = 1
	listener, _ := newProxied(t, WithLimits(limits))
	behind := func(client string) types.NetAddress {
		return startProxy(t, listener, stacktest.ProxyHeader(t, 2, client, proxyproto.PROXY))
	}
	refused := func(addr types.NetAddress) {
		t.Helper()
		dialer := newNode(t, nil)
		_, err := dialer.Dial(timeout(t), addr, dialer.behavior)
		require.Error(t, err)
	}
	first := behind("203.0.113.7")
	dialAt(t, first, listener)
	refused(first)
	dialAt(t, behind("203.0.113.8"), listener)
	require.NoError(t, listener.BlockIP(net.ParseIP("203.0.113.9")))
	refused(behind("203.0.113.9"))
}

// Nobody outside of the configured networks can name another address, and a proxy that
// names none is not let in.
func TestProxyProtocolIsForConfiguredNetworksOnly(t *testing.T) {
	for name, network := range map[string]string{"header from elsewhere": "10.0.0.0/8", "no header": "127.0.0.0/8"} {
		t.Run(name, func(t *testing.T) {
			listener, logs := newLoggedNode(t, net.IPv4(127, 0, 0, 1), WithProxyProtocol(netip.MustParsePrefix(network)))
			header := stacktest.ProxyHeader(t, 1, "203.0.113.7", proxyproto.PROXY)
			if network == "127.0.0.0/8" {
				header = nil
			}
			dialer := newNode(t, nil)
			_, err := dialer.Dial(timeout(t), startProxy(t, listener, header), dialer.behavior)
			require.Error(t, err)
			require.NoError(t, listener.Close())
			require.Contains(t, logs.String(), map[bool]string{true: errNoHeader.Error(), false: "remote speaks PROXY"}[header == nil])
		})
	}
	for _, network := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:127.0.0.0/104")} {
		key := types.GenerateNodeKey()
		_, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithProxyProtocol(network))
		require.ErrorIs(t, err, compat.ErrInvalidOption, network)
	}
}

// A proxy that sends no header, or a part of one, loses the connection.
func TestProxyHeaderHasToComeInTime(t *testing.T) {
	t.Parallel()
	v1, v2 := stacktest.ProxyHeader(t, 1, "203.0.113.7", proxyproto.PROXY), stacktest.ProxyHeader(t, 2, "203.0.113.7", proxyproto.PROXY)
	for name, first := range map[string][]byte{
		"nothing": nil, "v1": v1[:len(v1)-2], "signature of v2": v2[:10], "v2": v2[:len(v2)-1], "only a header": v2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime := 50 * time.Millisecond
			if name == "only a header" { // which has to come in time
				inTime = shortWait
			}
			listener, logs := newProxied(t, shortHandshake(inTime))
			addr := listener.NetAddress()
			stacktest.RequireClosedAfter(t, addr.DialString(), first)
			require.NoError(t, listener.Close())
			require.Equal(t, name != "only a header", strings.Contains(logs.String(), errNoHeader.Error()), "%s", logs)
		})
	}
}

// The switch does not count a proxy's own connections, as of its health checks, which it would
// have to refuse soon.
func TestProxysOwnConnectionsAreNotCounted(t *testing.T) {
	listener, _ := newProxied(t)
	listener.gater.guard.Ask(&judging{listener.behavior, compat.RejectBanned})
	for _, command := range []proxyproto.ProtocolVersionAndCommand{proxyproto.PROXY, proxyproto.LOCAL} {
		addr := startProxy(t, listener, stacktest.ProxyHeader(t, 2, "203.0.113.7", command))
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = conn.Write(sniff.MultistreamHeader)
		require.NoError(t, err)
		answer, _ := io.ReadAll(io.LimitReader(conn, int64(len(sniff.MultistreamHeader)))) // of what is refused, none
		require.Equal(t, command.IsLocal(), string(answer) == string(sniff.MultistreamHeader))
	}
}

// A connection from a proxy that gives way before its header is logged as such.
func TestProxiedConnectionThatGivesWayIsLogged(t *testing.T) {
	limits := DefaultLimits()
	limits.Connections = 2 * minPlaces
	listener, logs := newProxied(t, WithLimits(limits))
	addr := listener.NetAddress()
	for range minPlaces + 1 {
		conn, err := net.Dial("tcp", addr.DialString())
		require.NoError(t, err)
		defer conn.Close()
	}
	require.Eventually(t, func() bool { return logs.Count(errEvicted.Error()) == 1 }, time.Minute, time.Millisecond)
	require.Zero(t, logs.Count(errNoHeader.Error()))
}
