package dropin

import (
	"net"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// newCallersTransport returns a listening transport of the given stack.
func newCallersTransport(t *testing.T, stackName string) compat.ListeningTransport {
	t.Helper()
	key, info := newIdentity(testChannel)
	var tr compat.ListeningTransport = native.NewMultiplexTransport(FromNodeInfo(info), FromNodeKey(key), mconn.DefaultMConnConfig(), nil)
	if stackName == "libp2p" {
		var err error
		tr, err = lp2p.NewTransport(FromNodeInfo(info), FromNodeKey(key), nil)
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	t.Cleanup(func() { require.NoError(t, tr.Close()) })

	return tr
}

// TestNewSwitch connects a switch on the caller's transport with one that owns its own.
func TestNewSwitch(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		a, b := newGnoRecorder("recorder", testChannel), newGnoRecorder("recorder", testChannel)
		own := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": b})
		tr := newCallersTransport(t, s.name)
		sw, err := NewSwitch(tr, loopbackConfig(own.NetAddress()), map[string]p2p.Reactor{"R": a}, nil)
		require.NoError(t, err)
		require.NoError(t, sw.Listen())
		addr := tr.NetAddress()
		require.Equal(t, *NetAddress(&addr), sw.NetAddress())
		require.NoError(t, own.Start())
		require.NoError(t, sw.Start())

		require.True(t, await(t, a.added).IsPersistent())
		require.True(t, await(t, b.added).Send(testChannel, []byte("hello")))
		require.Equal(t, "hello", await(t, a.received).msg)

		require.NoError(t, sw.Stop())
		require.ErrorIs(t, sw.Stop(), gnoservice.ErrAlreadyStopped)
		require.Empty(t, sw.Peers().List())
		requireDialed(t, addr.DialString()) // the caller closes the transport
		require.NoError(t, sw.Close())
	})
}

func TestNewSwitchNeverStarted(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		tr := newCallersTransport(t, s.name)
		sw, err := NewSwitch(tr, loopbackConfig(), nil, nil)
		require.NoError(t, err)
		require.NoError(t, sw.Close())
		require.ErrorIs(t, sw.Start(), gnoservice.ErrAlreadyStopped)
		addr := tr.NetAddress()
		requireDialed(t, addr.DialString())
	})
}

func TestNewSwitchErrors(t *testing.T) {
	_, err := NewSwitch(nil, loopbackConfig(), nil, nil)
	require.ErrorIs(t, err, errNoTransport)
	tr := newCallersTransport(t, "native")
	_, err = NewSwitch(tr, nil, nil, nil)
	require.ErrorIs(t, err, errNoConfig)
	cfg := loopbackConfig()
	cfg.SendRate = -1
	_, err = NewSwitch(tr, cfg, nil, nil)
	require.ErrorContains(t, err, "[p2p].send_rate")

	taken := map[string]p2p.Reactor{"A": newGnoRecorder("a", testChannel)}
	sw, err := NewSwitch(tr, loopbackConfig(), taken, nil,
		adapter.WithReactor("B", FromReactor(newGnoRecorder("b", testChannel))))
	require.NoError(t, err)
	require.ErrorIs(t, sw.Start(), adapter.ErrInvalidReactor, "options count")
	require.NoError(t, sw.Close())
}

// TestLibp2pOptionsPassThrough checks options for which gno has no key: NAT services and
// metrics. TestLibp2pOptions covers QUIC.
func TestLibp2pOptionsPassThrough(t *testing.T) {
	key, info := newIdentity(testChannel)
	registry := prometheus.NewRegistry()
	sw, err := NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithLibp2pOptions(
		lp2p.WithPrometheus(registry), lp2p.WithQUIC(), lp2p.WithHolePunching(),
		lp2p.WithRelayService(lp2p.DefaultRelayLimits())))
	require.NoError(t, err)
	require.True(t, registered(t, registry, string(key.ID())), "metrics tell of the node")
	require.NoError(t, sw.Close())
	require.False(t, registered(t, registry, string(key.ID())))

	key, info = newIdentity(testChannel)
	_, err = NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithLibp2pOptions(lp2p.WithHolePunching()))
	require.ErrorContains(t, err, "QUIC", "hole punching alone is refused")
}

// registered reports whether a metric has the ID as its node label.
func registered(t *testing.T, registry *prometheus.Registry, id string) bool {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "node" && strings.Contains(label.GetValue(), id) {
					return true
				}
			}
		}
	}

	return false
}
