package discovery_test

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

func serves(n *node) bool { return slices.Contains(n.t.Host().Mux().Protocols(), n.d.Protocol()) }

// A node is a server, a client as long as its host knows that it cannot be reached,
// and what it was told to be whatever the host knows.
func TestModeFollowsReachability(t *testing.T) {
	auto := newNode(t, spec{})
	client := newNode(t, spec{dht: []discovery.Option{discovery.WithMode(discovery.ModeClient)}})
	server := newNode(t, spec{dht: []discovery.Option{discovery.WithMode(discovery.ModeServer)}})
	require.True(t, serves(auto))
	require.False(t, serves(client))
	require.True(t, serves(server))
	for _, c := range []struct {
		known network.Reachability
		want  bool
	}{
		{network.ReachabilityPrivate, false}, {network.ReachabilityPublic, true},
		{network.ReachabilityPrivate, false}, {network.ReachabilityUnknown, true},
	} {
		for _, n := range []*node{auto, client, server} {
			emitter, err := n.t.Host().EventBus().Emitter(new(event.EvtLocalReachabilityChanged))
			require.NoError(t, err)
			require.NoError(t, emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: c.known}))
			require.NoError(t, emitter.Close())
		}
		await(t, "the mode follows", func() bool { return serves(auto) == c.want }, auto)
		require.False(t, serves(client))
		require.True(t, serves(server))
	}
}

// What Stats tells is collected while discovery runs.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	hub := newNode(t, spec{dht: []discovery.Option{discovery.WithRegisterer(registry)}})
	n := newNode(t, spec{seeds: []*node{hub}, dht: []discovery.Option{discovery.WithRegisterer(registry)}})
	await(t, "both know the other", func() bool { return hub.d.Stats().Table == 1 && n.d.Stats().Table == 1 }, hub, n)
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)

	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 14)
	seen := 0
	for _, f := range families {
		require.Len(t, f.GetMetric(), 2, f.GetName())
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "tm2_dht_table_peers":
				require.EqualValues(t, 1, m.GetGauge().GetValue())
				seen++
			case "tm2_dht_queries_sent_total":
				require.Positive(t, m.GetCounter().GetValue())
				seen++
			}
		}
	}
	require.Equal(t, 4, seen)

	other, err := discovery.New(n.t, discovery.WithRegisterer(registry))
	require.NoError(t, err)
	other.SetSwitch(n)
	require.ErrorContains(t, other.Start(), "metrics")

	n.stop()
	hub.stop()
	families, err = registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
}
