package dual_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

// byStack makes the transport of a patient node of each kind.
var byStack = map[string]func(t *testing.T, spec compattest.Spec) compat.ListeningTransport{
	"native": func(t *testing.T, spec compattest.Spec) compat.ListeningTransport {
		t.Helper()

		return kinds["native"](t, spec)
	},
	"libp2p over TCP": func(t *testing.T, spec compattest.Spec) compat.ListeningTransport {
		t.Helper()

		return libp2pWith(t, spec)
	},
	"libp2p over QUIC": func(t *testing.T, spec compattest.Spec) compat.ListeningTransport {
		t.Helper()

		return libp2pWith(t, spec, lp2p.WithQUICOnly())
	},
	"dual": func(t *testing.T, spec compattest.Spec) compat.ListeningTransport {
		t.Helper()

		return kinds["dual"](t, spec)
	},
}

func libp2pWith(t *testing.T, spec compattest.Spec, opts ...lp2p.Option) compat.ListeningTransport {
	t.Helper()
	tr, err := lp2p.NewTransport(spec.Info, spec.Key, nil, append(patientLibp2p(), opts...)...)
	require.NoError(t, err)

	return tr
}

// A persistent peer whose host name leads to a blocked IP is found at the other one, in whatever
// order they come.
func TestNameWithABlockedIPLeadsToTheOther(t *testing.T) {
	blocked, free := net.IPv4(127, 0, 0, 2), net.IPv4(127, 0, 0, 1)
	for name, newTransport := range byStack {
		for _, order := range [][]net.IP{{blocked, free}, {free, blocked}} {
			t.Run(fmt.Sprint(name, order), func(t *testing.T) {
				names := dnstest.Install(t)
				names.Set("node.example", order...)
				listener := newTransport(t, loopbackSpec())
				require.NoError(t, listener.Listen(types.NetAddress{IP: net.IPv4zero})) // at both
				runSwitch(t, listener)
				addr := listener.NetAddress()
				addr.Hostname, addr.IP = "node.example", nil

				sw := runSwitch(t, newTransport(t, loopbackSpec()),
					adapter.WithPersistentPeers([]*types.NetAddress{&addr}),
					adapter.WithBlockedIPs([]netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("127.0.0.2"), 32)}))
				var peer compat.PeerConn
				require.Eventually(t, func() bool {
					peer = sw.Peers().Get(addr.ID)

					return peer != nil
				}, time.Minute, time.Millisecond)
				require.Equal(t, free.String(), peer.RemoteIP().String())
			})
		}
	}
}

// A program may name a node in any form of its ID.
func TestDialInAnyFormOfTheID(t *testing.T) {
	for name, newTransport := range byStack {
		t.Run(name, func(t *testing.T) {
			listener, dialer := newTransport(t, loopbackSpec()), newTransport(t, loopbackSpec())
			require.NoError(t, listener.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
			acceptAll(t, listener, newBehavior(), func(p compat.PeerConn) { _ = p.Start() })
			defer func() { require.NoError(t, dialer.Close()) }()
			addr := listener.NetAddress()
			addr.ID = types.ID(strings.ToUpper(addr.ID.String()))
			p, err := dialer.Dial(timeout(t), addr, newBehavior())
			require.NoError(t, err)
			require.Equal(t, listener.NetAddress().ID, p.ID())
			require.Equal(t, listener.NetAddress().ID, p.SocketAddr().ID)
			dialer.Remove(p)
		})
	}
}

// runSwitch runs a switch over the transport until the test ends.
func runSwitch(t *testing.T, tr compat.ListeningTransport, opts ...adapter.SwitchOption) *adapter.MultiplexSwitch {
	t.Helper()
	sw := adapter.NewMultiplexSwitch(tr, append(opts, adapter.WithReactor("TEST", newBehavior()))...)
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, tr.Close())
	})

	return sw
}
