package dropin

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
)

// dhtNode is a node with a gno reactor and a DHT.
type dhtNode struct {
	*gnoRecorder
	sw  *Switch
	log strings.Builder
}

func newDHTNode(t *testing.T, change func(*gnoconfig.P2PConfig), opts ...Option) *dhtNode {
	t.Helper()

	return newDHTNodeOn(t, NewLibp2pSwitch, change, opts...)
}

// constructor is NewLibp2pSwitch, NewDualSwitch or NewConfiguredSwitch.
type constructor func(
	gnotypes.NodeInfo, gnotypes.NodeKey, *gnoconfig.P2PConfig, map[string]p2p.Reactor, *slog.Logger, ...Option,
) (*Switch, error)

func newDHTNodeOn(t *testing.T, newSwitch constructor, change func(*gnoconfig.P2PConfig), opts ...Option) *dhtNode {
	t.Helper()
	n := &dhtNode{gnoRecorder: newGnoRecorder("recorder", testChannel)}
	cfg := loopbackConfig()
	cfg.PeerExchange = true
	change(cfg)
	key, info := newIdentity(testChannel)
	sw, err := newSwitch(info, key, cfg, map[string]p2p.Reactor{"R": n}, slog.New(slog.NewTextHandler(&n.log, nil)), opts...)
	require.NoError(t, err)
	require.NotContains(t, n.log.String(), "level=WARN")
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	require.NoError(t, sw.Listen())
	n.sw = sw

	return n
}

// awaitPeer waits until the peer is added.
func (n *dhtNode) awaitPeer(t *testing.T, id gnotypes.ID) {
	t.Helper()
	for await(t, n.added).ID() != id {
	}
}

// TestNodesFindEachOtherByDHT connects nodes that know only a seed, with pex true.
func TestNodesFindEachOtherByDHT(t *testing.T) {
	fast := WithDHT(discovery.WithWalkInterval(50 * time.Millisecond))
	seed := newDHTNode(t, func(*gnoconfig.P2PConfig) {}, fast)
	require.NoError(t, seed.sw.Start())
	at := seed.sw.NetAddress()
	first := newDHTNode(t, func(cfg *gnoconfig.P2PConfig) { cfg.Seeds = at.String() }, fast)
	second := newDHTNode(t, func(cfg *gnoconfig.P2PConfig) { cfg.PersistentPeers = at.String() }, fast)
	require.NoError(t, first.sw.Start())
	require.NoError(t, second.sw.Start())
	first.awaitPeer(t, second.sw.NetAddress().ID)
	second.awaitPeer(t, first.sw.NetAddress().ID)
}

// TestDHTFollowsPex checks by the DHT's libp2p protocol whether there is a DHT.
func TestDHTFollowsPex(t *testing.T) {
	for _, c := range []struct {
		pex  bool
		opts []Option
		want bool
	}{
		{true, []Option{WithDHT()}, true},
		{false, []Option{WithDHT()}, false},
		{true, nil, false},
	} {
		key, info := newIdentity(testChannel)
		cfg := loopbackConfig()
		cfg.PeerExchange = c.pex
		sw, err := NewLibp2pSwitch(info, key, cfg, map[string]p2p.Reactor{"R": newGnoRecorder("r", testChannel)}, nil, c.opts...)
		require.NoError(t, err)
		require.NoError(t, sw.Start())
		require.Equal(t, c.want, slices.ContainsFunc(sw.transport.(*lp2p.Transport).Host().Mux().Protocols(), isDHT))
		require.NoError(t, sw.Close())
	}
}

// isDHT reports whether the protocol is that of a DHT.
func isDHT[ID ~string](p ID) bool { return strings.HasSuffix(string(p), "/kad/1.0.0") }

// TestDHTWithoutAPlaceIsReported starts nodes with a DHT that listen at all addresses, as behind a
// NAT. A node that listens at a public one has nothing to be warned of.
func TestDHTWithoutAPlaceIsReported(t *testing.T) {
	interfaces, err := net.InterfaceAddrs()
	require.NoError(t, err)
	nowhere := len(ownaddr.Public(interfaces)) == 0
	const warning = "outside of its private network no peer can be told where this node is: set [p2p].external_address"
	for _, stack := range []string{"libp2p", "dual"} {
		dial := map[string]string{"libp2p": "libp2p", "dual": "auto"}[stack]
		for at, want := range map[string]bool{"0.0.0.0:0": nowhere, "127.0.0.1:0": false} {
			var log strings.Builder
			cfg := gnoconfig.DefaultP2PConfig()
			cfg.ListenAddress = "tcp://" + at
			cfg.RootDir = homeWith(t, map[string]string{ownFile: "[p2p]\ndht = true\nstack = \"" + stack + "\"\ndial = \"" + dial + "\""})
			key, info := newIdentity(testChannel)
			info.NetAddress = nil
			sw, err := NewConfiguredSwitch(info, key, cfg, map[string]p2p.Reactor{"R": newGnoRecorder("r", testChannel)},
				slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			require.Equal(t, want, strings.Contains(log.String(), warning), stack+" "+at+" "+log.String())
			require.NoError(t, sw.Start())
			require.NoError(t, sw.Close())
		}
	}
}

func TestDHTErrors(t *testing.T) {
	key, info := newIdentity(testChannel)
	cfg := loopbackConfig()
	cfg.PeerExchange = true
	_, err := NewLibp2pSwitch(info, key, cfg, nil, nil, WithDHT(discovery.WithWalkInterval(-1)))
	require.ErrorContains(t, err, "libp2p switch")
	// goleak checks that the host is closed.
}

func TestBootstrapAddresses(t *testing.T) {
	id := types.GenerateNodeKey().ID()
	cfg := config.DefaultP2PConfig()
	cfg.Seeds = "nonsense," + string(id) + "@192.0.2.1:1," + string(id) + "@no.such.host.invalid:2"
	lists, err := cfg.PeerLists()
	require.ErrorContains(t, err, "nonsense")
	addrs := lists.Seeds
	require.Len(t, addrs, 2)
	require.True(t, addrs[0].IP.Equal(net.IPv4(192, 0, 2, 1)))
	require.Equal(t, "no.such.host.invalid", addrs[1].Hostname)
}
