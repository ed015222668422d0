package bridge

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// defaultNode starts a node at an IP of its own in which nothing is set but its persistent
// peers. It may have further options.
func defaultNode(t *testing.T, stack, ip string, persistent []*types.NetAddress, more ...adapter.SwitchOption) *node {
	t.Helper()
	key, sockets := types.GenerateNodeKey(), stacktest.SocketsFrom{IP: net.ParseIP(ip)}
	n := &node{
		stack: stack, channels: []byte{chVotes, chTxs},
		added: make(chan compat.PeerConn, 64), removed: make(chan types.ID, 64), messages: make(chan message, 4096),
	}
	n.BaseReactor = *compat.NewBaseReactor("test", n)
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: sockets.IP}, Network: "bridged", Version: "v1.0.0",
		Channels: n.channels, Moniker: stack,
	}
	var tr transport = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(sockets))
	if stack == InitiatorLibp2p {
		var err error
		tr, err = lp2p.NewTransport(info, *key, nil, lp2p.WithSockets(sockets))
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(types.NetAddress{IP: sockets.IP}))
	n.address = tr.NetAddress()
	opts := append([]adapter.SwitchOption{adapter.WithReactor("test", n), adapter.WithPersistentPeers(persistent)}, more...)
	n.sw = adapter.NewMultiplexSwitch(tr, opts...)
	require.NoError(t, n.sw.Start())
	n.stop = func() {
		if n.sw.IsRunning() {
			require.NoError(t, n.sw.Stop())
			require.NoError(t, tr.Close())
		}
	}
	t.Cleanup(n.stop)

	return n
}

// defaultBridge starts a bridge at an IP of its own in which nothing is set but the peers.
func defaultBridge(t *testing.T, ip string, config Config) *Bridge {
	t.Helper()
	config.NativeListen = types.NetAddress{IP: net.IPv4zero} // both families
	config.Libp2pListen = types.NetAddress{IP: net.IPv4zero}
	config.Sockets = stacktest.SocketsFrom{IP: net.ParseIP(ip)}
	b, err := New(*types.GenerateNodeKey(), config, nil)
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() {
		if b.IsRunning() {
			require.NoError(t, b.Stop())
		}
	})

	return b
}

// at returns where a node at the IP dials the bridge, which listens everywhere: at an IP of
// the same family.
func (b *Bridge) at(ip string) []*types.NetAddress {
	addr := b.NativeAddress()
	addr.IP = net.ParseIP("60.0.0.1")
	if net.ParseIP(ip).To4() == nil {
		addr.IP = net.ParseIP("2a00:60::1")
	}

	return []*types.NetAddress{&addr}
}

// awaitPairs waits until the bridge has as many pairs.
func awaitPairs(t *testing.T, b *Bridge, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.Status().Pairs) == n }, 2*time.Minute, 5*time.Millisecond,
		"%d pairs", n)
}

// awaitSettled waits until no libp2p target has a penalty, or is dialed, after which all are chosen alike.
func (b *Bridge) awaitSettled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		inUse, pairs := 0, len(b.Status().Pairs)
		for _, target := range b.libp2pTargets.all(dialer{}) {
			if target.isTroubled() {
				return false
			}
			inUse += target.pairs
		}

		return inUse == pairs
	}, 2*time.Minute, 5*time.Millisecond, "penalties or dials")
}

// Native nodes behind one bridge share two libp2p nodes, with nothing set on any of them. An IP
// has one slot of each target, and a bridge that nobody knows a quarter of its slots.
func TestNativeNodesShareTargetsAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	targets := []*node{defaultNode(t, InitiatorLibp2p, "52.0.0.1", nil), defaultNode(t, InitiatorLibp2p, "53.0.0.1", nil)}
	b := defaultBridge(t, "60.0.0.1", Config{Libp2pPeers: addresses(targets...)})
	var natives []*node
	for _, ip := range []string{"51.0.0.1", "51.1.0.1", "51.2.0.1", "51.3.0.1", "2a00:1::1", "2a00:2::1"} {
		natives = append(natives, defaultNode(t, InitiatorNative, ip, b.at(ip)))
		awaitPairs(t, b, len(natives))
		b.awaitSettled(t)
	}
	// On a busy machine a dial may fail, or lose to a later one, which sends the node to the other target.
	counters := b.Status().Counters
	slack := sum(counters.Dials, func(c Count) bool { return c.Side == InitiatorLibp2p }) - int(counters.PairsOpened)
	require.Eventually(t, func() bool { // a pair may be up before the switch of its target has the peer
		return targets[0].sw.Peers().NumInbound()+targets[1].sw.Peers().NumInbound() == uint64(len(natives))
	}, testTimeout, time.Millisecond)
	for _, n := range targets {
		require.InDelta(t, 3, n.sw.Peers().NumInbound(), float64(slack), "the targets share the nodes evenly")
		for _, p := range n.sw.Peers().List() {
			require.Equal(t, b.key.ID(), compat.Delegate(p))
			require.NotEqual(t, "60.0.0.1", compat.SeenAt(p).Addr().String())
		}
	}
	for i, n := range natives {
		require.True(t, next(t, n.added).Send(chTxs, []byte{byte(i)}))
	}

	// A second node of an IP gets the other target, and a third one none.
	second := defaultNode(t, InitiatorNative, "51.0.0.1", b.at("51.0.0.1"))
	next(t, second.added)
	require.False(t, defaultNode(t, InitiatorNative, "51.0.0.1", nil).comes(t, *b.at("51.0.0.1")[0]))
	for _, n := range targets {
		require.LessOrEqual(t, n.sw.Peers().NumInbound(), uint64(4+slack))
	}
}

// Of a target that does not know the bridge, nodes get a quarter of the slots; one of whose
// operator it has the name gives it all that are free.
func TestShareOfTheBridgeAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	key := types.GenerateNodeKey()
	for name, test := range map[string]struct {
		opts  []adapter.SwitchOption
		pairs int
	}{
		"stranger":   {nil, 10},
		"configured": {[]adapter.SwitchOption{adapter.WithUnconditionalPeers([]types.ID{key.ID()})}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			target := defaultNode(t, InitiatorLibp2p, "52.0.0.1", nil, test.opts...)
			b, err := New(*key, Config{
				NativeListen: types.NetAddress{IP: net.ParseIP("60.0.0.1")}, Libp2pListen: types.NetAddress{IP: net.ParseIP("60.0.0.1")},
				Sockets: stacktest.SocketsFrom{IP: net.ParseIP("60.0.0.1")}, Libp2pPeers: addresses(target), OnlyConfigured: true,
			}, nil)
			require.NoError(t, err)
			b.pairTimeout = testTimeout // on a busy machine a search may last long
			require.NoError(t, b.Start())
			defer func() { require.NoError(t, b.Stop()) }()
			got := 0
			for i := range 12 {
				n := defaultNode(t, InitiatorNative, net.IPv4(51, byte(i), 0, 1).String(), nil)
				if n.comes(t, b.NativeAddress()) {
					got++
				}
			}
			require.Equal(t, test.pairs, got)
		})
	}
}
