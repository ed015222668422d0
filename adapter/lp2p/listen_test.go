package lp2p

import (
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// newLoggedNode is newNode with its log, at the IP. It has patientTimeouts, too, unless an option says
// otherwise.
func newLoggedNode(t testing.TB, ip net.IP, opts ...Option) (*node, *stacktest.Log) {
	t.Helper()
	key, logs := types.GenerateNodeKey(), new(stacktest.Log)
	info := nodeInfo(key.ID())
	tr, err := NewTransport(info, *key, slog.New(slog.NewTextHandler(logs, nil)),
		append([]Option{WithTimeouts(patientTimeouts())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}, logs
}

// Both unspecified addresses open both families, over TCP and over QUIC, at one port, and
// the log says which are open.
func TestListenOpensTheFamiliesItNames(t *testing.T) {
	for laddr, c := range map[string]struct {
		v4, v6   bool
		families string
	}{
		"0.0.0.0":   {true, true, `families="IPv4 and IPv6"`},
		"::":        {true, true, `families="IPv4 and IPv6"`},
		"127.0.0.1": {true, false, "families=IPv4 "},
		"::1":       {false, true, "families=IPv6 "},
	} {
		t.Run(laddr, func(t *testing.T) {
			listener, logs := newLoggedNode(t, net.ParseIP(laddr), WithQUIC())
			listener.acceptLoop(t)
			require.Contains(t, logs.String(), c.families)
			for ip, open := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
				for name, opts := range map[string][]Option{"TCP": nil, "QUIC": {WithQUICOnly()}} {
					addr := listener.NetAddress()
					addr.IP = net.ParseIP(ip)
					dialer := newNode(t, nil, opts...)
					if !open && name == "QUIC" {
						continue // UDP reports no refusal
					}
					p, err := dialer.Dial(timeout(t), addr, dialer.behavior)
					if !open {
						require.Error(t, err)

						continue
					}
					require.NoError(t, err, "%s %s", name, ip)
					require.NoError(t, p.Start())
					require.NoError(t, p.Stop())
				}
			}
		})
	}
}

// oneFamily is a TCP transport on a machine that has no IPv6.
type oneFamily struct{ *tcp.TcpTransport }

func (t oneFamily) Listen(at multiaddr.Multiaddr) (transport.Listener, error) {
	if ipOf(at).Is6() {
		return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", syscall.EAFNOSUPPORT)}
	}

	return t.TcpTransport.Listen(at)
}

// A wildcard opens what the machine has, and says so.
func TestListenWithoutIPv6(t *testing.T) {
	for _, laddr := range []net.IP{net.IPv4zero, net.IPv6zero} {
		_, logs := newLoggedNode(t, laddr, WithQUIC(), withTCP(libp2p.Transport(
			func(u transport.Upgrader, rm network.ResourceManager) (oneFamily, error) {
				t, err := tcp.NewTCPTransport(u, rm, nil, tcp.DisableReuseport())

				return oneFamily{t}, err
			}), new(net.Dialer).DialContext))
		require.Contains(t, logs.String(), "families=IPv4 ")
	}
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil)
	require.NoError(t, err)
	defer tr.Close()
	require.ErrorIs(t, tr.Listen(types.NetAddress{IP: net.IPv4(192, 0, 2, 1)}), syscall.EADDRNOTAVAIL)
	require.Error(t, tr.Listen(types.NetAddress{}))
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
}
