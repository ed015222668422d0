package bridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// tunnelNode is a node that has libp2p connections only and speaks the native protocol in tunnels
// of the bridge.
func tunnelNode(t *testing.T, key *types.NodeKey, b *Bridge) *node {
	t.Helper()
	n := &node{
		channels: []byte{chVotes, chTxs}, added: make(chan compat.PeerConn, 16),
		removed: make(chan types.ID, 16), messages: make(chan message, 4096),
	}
	n.BaseReactor = *compat.NewBaseReactor("test", n)
	addr := loopback()
	addr.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &addr,
		Network: "bridged", Version: "v1.0.0", Channels: n.channels, Moniker: "in a tunnel",
	}
	side, err := lp2p.NewTransport(info, *key, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, side.Close()) })
	sockets := tunnel.NewSockets(side, []types.NetAddress{b.Libp2pAddress()}, nil)
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(sockets))
	require.NoError(t, tr.Listen(loopback()))
	n.sw = adapter.NewMultiplexSwitch(tr, adapter.WithReactor("test", n))
	require.NoError(t, n.sw.Start())
	t.Cleanup(func() {
		require.NoError(t, n.sw.Stop())
		require.NoError(t, tr.Close())
	})

	return n
}

// A bridge has tunnels beside its pairs. In a tunnel native and libp2p node know each other by
// their own IDs, in both directions.
func TestTunnelsBesidePairs(t *testing.T) {
	key, libp2p, listening := types.GenerateNodeKey(), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{
		Libp2pPeers: addresses(libp2p), NativePeers: addresses(listening),
		Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: key.ID()}, Listen: loopback()}},
	})
	inside := tunnelNode(t, key, b)
	at := b.TunnelAddresses()
	require.Len(t, at, 1)

	dialing := newNode(t, InitiatorNative)
	dialing.joinAtLast(t, at[0]) // until the node is in reach of the bridge
	require.True(t, dialing.sw.Peers().Has(key.ID()))
	require.Equal(t, dialing.address.ID, inside.met(t).ID())
	require.Equal(t, listening.address.ID, inside.join(t, listening.address).ID())
	require.Equal(t, key.ID(), listening.met(t).ID())
	require.Empty(t, b.Status().Pairs)

	var tunnels []tunnel.Status
	require.Eventually(t, func() bool { // those of late dials end
		tunnels = b.Status().Tunnels

		return len(tunnels) == 1 && len(tunnels[0].Open) == 2
	}, testTimeout, time.Millisecond)
	require.True(t, tunnels[0].InReach)
	require.False(t, tunnels[0].Dialable)

	require.Equal(t, b.key.ID(), dialing.join(t, b.NativeAddress()).ID())
	next(t, libp2p.added)
	awaitPairs(t, b, 1)
}

func TestTunnelsAreChecked(t *testing.T) {
	id, other := types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID()
	at := func(id types.ID, port uint16) tunnel.Target {
		listen := loopback()
		listen.Port = port

		return tunnel.Target{Node: types.NetAddress{ID: id}, Listen: listen}
	}
	config := Config{NativeListen: loopback(), Libp2pListen: types.NetAddress{Port: 20}, Identities: 3}
	config.NativeListen.Port = 10
	config.Tunnels = []tunnel.Target{at(id, 13), at(other, 14)}
	_, err := New(*types.GenerateNodeKey(), config, nil)
	require.NoError(t, err)
	for _, targets := range [][]tunnel.Target{
		{{Node: types.NetAddress{ID: "nobody"}}},
		{{Node: types.NetAddress{ID: id}}, {Node: types.NetAddress{ID: id}}},
		{at(id, 12)},
		{at(id, 20)},
		{at(id, 30), at(other, 30)},
	} {
		config.Tunnels = targets
		_, err := New(*types.GenerateNodeKey(), config, nil)
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, "Tunnels")
	}
}

// Tunnels lead to the native targets of the moment, and those of a node that is blocked end.
func TestTunnelsFollowTheOperator(t *testing.T) {
	key, listening := types.GenerateNodeKey(), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: key.ID()}, Listen: loopback()}}})
	inside := tunnelNode(t, key, b)
	require.Empty(t, b.nativeTargets.open())
	require.NoError(t, b.Connect(InitiatorNative, listening.address))
	inside.joinAtLast(t, listening.address)
	listening.met(t)
	require.NoError(t, b.Block(key.ID()))
	require.Equal(t, key.ID(), next(t, listening.removed))
	require.True(t, b.Unblock(key.ID()))

	next(t, inside.removed)
	inside.joinAtLast(t, listening.address) // until the node is back at the bridge
	listening.met(t)
	require.Len(t, b.nativeTargets.open(), 1)
	require.NoError(t, b.Forget(listening.address.ID))
	require.NoError(t, b.Block(types.GenerateNodeKey().ID()))
	require.Eventually(t, func() bool { return len(b.Status().Tunnels[0].Open) <= 1 }, testTimeout, time.Millisecond, "those of late dials end")
	require.Len(t, b.Status().Tunnels[0].Open, 1, "it stays, as a pair does")
	require.NoError(t, b.Block(listening.address.ID))
	require.Equal(t, key.ID(), next(t, listening.removed))
	require.Empty(t, b.nativeTargets.open())
}
