package native

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// startProxy forwards each connection to the address, after the header, and returns
// where it listens.
func startProxy(t *testing.T, to string, header []byte) types.NetAddress {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err == nil {
				_, err = far.Write(header)
			}
			if err != nil {
				t.Errorf("proxy: %v", err)
				_ = near.Close()

				continue
			}
			forward := func(dst, src net.Conn) {
				_, _ = io.Copy(dst, src)
				_ = dst.Close()
			}
			serving.Go(func() { forward(far, near) })
			serving.Go(func() { forward(near, far) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		serving.Wait()
	})
	tcp := listener.Addr().(*net.TCPAddr)

	return types.NetAddress{IP: tcp.IP, Port: uint16(tcp.Port)}
}

func proxyHeader(t *testing.T, version byte, client string, command proxyproto.ProtocolVersionAndCommand) []byte {
	t.Helper()
	source := &net.TCPAddr{IP: net.ParseIP(client), Port: 4711}
	h := proxyproto.HeaderProxyFromAddrs(version, source, &net.TCPAddr{IP: source.IP, Port: 26656})
	h.Command = command
	header, err := h.Format()
	require.NoError(t, err)

	return header
}

// A node behind a proxy sees the address of the client, which its switch, the handshake
// limits and reactors get, and messages pass.
func TestProxyProtocolShowsTheClient(t *testing.T) {
	const proxy, local = proxyproto.PROXY, proxyproto.LOCAL
	for name, c := range map[string]struct {
		header []byte
		want   string
	}{
		"v1":         {proxyHeader(t, 1, "203.0.113.7", proxy), "203.0.113.7"},
		"v1, IPv6":   {proxyHeader(t, 1, "2001:db8::7", proxy), "2001:db8::7"},
		"v2":         {proxyHeader(t, 2, "203.0.113.7", proxy), "203.0.113.7"},
		"v2, IPv6":   {proxyHeader(t, 2, "2001:db8::7", proxy), "2001:db8::7"},
		"v2 local":   {proxyHeader(t, 2, "203.0.113.7", local), "127.0.0.1"},
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
			listener.guard.ask(switchOf)
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
			require.Equal(t, c.want, next(t, asked))
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
			header := proxyHeader(t, 1, "203.0.113.7", proxyproto.PROXY)
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
	key := types.GenerateNodeKey()
	mt := NewMultiplexTransport(
		nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), nil, WithProxyProtocol(netip.Prefix{}))
	require.ErrorIs(t, mt.Listen(loopback()), compat.ErrInvalidOption)
	require.NoError(t, mt.Close())
}
