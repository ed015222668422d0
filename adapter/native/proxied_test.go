package native

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// startProxy forwards each connection to the address, after the header, and returns
// where it listens.
func startProxy(t *testing.T, to string, header []byte) types.NetAddress {
	t.Helper()
	at := stacktest.StartProxy(t, to, header)

	return types.NetAddress{IP: at.IP, Port: uint16(at.Port)}
}

// A node behind a proxy sees the address of the client, which its switch, the handshake
// limits and reactors get, and messages pass.
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
			listener, _ := newLoggedTransport(t, WithProxyProtocol(netip.MustParsePrefix("127.0.0.0/8")))
			require.NoError(t, listener.Listen(loopback()))
			addr := startProxy(t, dialString(listener), c.header)
			addr.ID = listener.NetAddress().ID
			b, asked := newBehavior(), make(chan string, 1)
			in := make(chan compat.PeerConn, 1)
			switchOf := &asking{behavior: b, asked: asked}
			listener.guard.Ask(switchOf)
			ctx := testContext(t)
			go func() {
				p, err := listener.Accept(ctx, switchOf)
				if err != nil {
					t.Errorf("accept: %v", err)
				}
				in <- p
			}()
			dialer := newTransport(t, "net")
			out, err := dialer.Dial(ctx, addr, newBehavior())
			require.NoError(t, err)
			inbound := next(t, in)
			require.Equal(t, c.want, inbound.RemoteIP().String())
			if c.want == "127.0.0.1" {
				require.Empty(t, asked, "a proxy's own connections are not counted")
			} else {
				require.Equal(t, c.want, next(t, asked))
			}
			require.NoError(t, inbound.Start())
			require.NoError(t, out.Start())
			require.True(t, out.Send(chA, []byte("hello")))
			require.Equal(t, "hello", next(t, b.messages).msg)
			require.NoError(t, out.Stop())
			require.NoError(t, inbound.Stop())
		})
	}
}

// asking is a switch that notes the IP it is asked about before the handshake.
type asking struct {
	*behavior

	asked chan string
}

func (a *asking) AdmitConn(ip net.IP) error {
	select {
	case a.asked <- ip.String():
	default:
	}

	return nil
}

// Nobody outside of the configured networks can name another address, and a proxy that
// names none is not let in.
func TestProxyProtocolIsForConfiguredNetworksOnly(t *testing.T) {
	for name, network := range map[string]string{"header from elsewhere": "10.0.0.0/8", "no header": "127.0.0.0/8"} {
		t.Run(name, func(t *testing.T) {
			listener, logs := newLoggedTransport(t, WithProxyProtocol(netip.MustParsePrefix(network)))
			require.NoError(t, listener.Listen(loopback()))
			header := stacktest.ProxyHeader(t, 1, "203.0.113.7", proxyproto.PROXY)
			if network == "127.0.0.0/8" {
				header = nil
			}
			addr := startProxy(t, dialString(listener), header)
			addr.ID = listener.NetAddress().ID
			_, err := newTransport(t, "net").Dial(testContext(t), addr, newBehavior())
			require.Error(t, err)
			require.NoError(t, listener.Close())
			require.NotContains(t, logs.String(), "address=203.0.113.7")
		})
	}
	for _, network := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:127.0.0.0/104")} {
		key := types.GenerateNodeKey()
		mt := NewMultiplexTransport(
			nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), nil, WithProxyProtocol(network))
		require.ErrorIs(t, mt.Listen(loopback()), compat.ErrInvalidOption, network)
		require.NoError(t, mt.Close())
	}
}

// newProxied returns a transport that listens behind a proxy on loopback.
func newProxied(t *testing.T, limits HandshakeLimits, timeout time.Duration) (*MultiplexTransport, *stacktest.Log) {
	t.Helper()
	mt, logs := newLoggedTransport(t,
		WithProxyProtocol(netip.MustParsePrefix("127.0.0.0/8")), WithHandshakeLimits(limits))
	mt.timeout = timeout
	require.NoError(t, mt.Listen(loopback()))

	return mt, logs
}

// connectTo sends the bytes on a new connection.
func connectTo(t *testing.T, mt *MultiplexTransport, first []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", dialString(mt))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(testTimeout)))
	_, err = conn.Write(first)
	require.NoError(t, err)

	return conn
}

// requireClosed waits until the remote closes the connection.
func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// A proxy that sends no header, or a part of one, loses the connection and its place.
func TestProxyHeaderHasToComeInTime(t *testing.T) {
	v1, v2 := stacktest.ProxyHeader(t, 1, "203.0.113.7", proxyproto.PROXY), stacktest.ProxyHeader(t, 2, "203.0.113.7", proxyproto.PROXY)
	for name, first := range map[string][]byte{
		"nothing": nil, "v1": v1[:len(v1)-2], "signature of v2": v2[:10], "v2": v2[:len(v2)-1],
	} {
		t.Run(name, func(t *testing.T) {
			mt, logs := newProxied(t, DefaultHandshakeLimits(), 100*time.Millisecond)
			stacktest.RequireClosedAfter(t, dialString(mt), first)
			require.NoError(t, mt.Close())
			require.Zero(t, mt.places.Taken())
			require.Contains(t, logs.String(), "without a PROXY header")
		})
	}
}

// Connections on which a proxy says nothing, as those of its health checks, give way to
// one with a header, and do not hold Close up.
func TestSilentProxyConnectionsKeepNobodyOut(t *testing.T) {
	mt, logs := newProxied(t, HandshakeLimits{Total: 3, PerIP: 3}, 10*testTimeout)
	silent := []net.Conn{connectTo(t, mt, nil), connectTo(t, mt, nil), connectTo(t, mt, nil)}
	addr := startProxy(t, dialString(mt), stacktest.ProxyHeader(t, 2, "203.0.113.7", proxyproto.PROXY))
	addr.ID = mt.NetAddress().ID
	dialer := newTransport(t, "net")
	_, in := connectAt(t, dialer, mt, addr, newBehavior(), newBehavior())
	require.Equal(t, "203.0.113.7", in.RemoteIP().String())
	require.True(t, in.(compat.LocalPeer).LocalIP().IsLoopback())
	requireClosed(t, silent[0])

	closed := make(chan error)
	go func() { closed <- mt.Close() }()
	require.NoError(t, next(t, closed))
	require.Zero(t, mt.places.Taken())
	require.Contains(t, logs.String(), errEvicted.Error())
	requireClosed(t, silent[1])
	requireClosed(t, silent[2])
}

// The handshakes of a client behind a proxy count for the client, not for the proxy.
func TestHandshakesBehindAProxyCountForTheClient(t *testing.T) {
	mt, _ := newProxied(t, HandshakeLimits{Total: 10, PerIP: 1}, 10*testTimeout)
	inHandshake := func(client string) net.Conn {
		conn := connectTo(t, mt, append(stacktest.ProxyHeader(t, 1, client, proxyproto.PROXY), 0x22))
		_, err := io.ReadFull(conn, make([]byte, ephemeralSize))
		require.NoError(t, err)

		return conn
	}
	first := inHandshake("203.0.113.7")
	inHandshake("203.0.113.8")
	require.Equal(t, 2, mt.places.Taken())
	inHandshake("203.0.113.7")
	requireClosed(t, first)
	require.Equal(t, 2, mt.places.Taken())
}

// A connection from a proxy that gives way before its header is logged as such.
func TestProxiedConnectionThatGivesWayIsLogged(t *testing.T) {
	mt, logs := newProxied(t, HandshakeLimits{Total: 1, PerIP: 1}, time.Hour)
	former := connectTo(t, mt, nil)
	connectTo(t, mt, nil)
	_, err := former.Read(make([]byte, 1))
	require.Error(t, err)
	require.Eventually(t, func() bool { return logs.Count(errEvicted.Error()) == 1 }, testTimeout, time.Millisecond)
	require.Zero(t, logs.Count("without a PROXY header"))
}
