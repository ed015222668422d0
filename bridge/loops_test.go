package bridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// Two bridges in a chain pair nobody, from either end: what one of them presents, the other
// does not pass on.
func TestBridgesInAChainPairNobody(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	second := newBridge(t, Config{NativePeers: addresses(native), Libp2pPeers: addresses(libp2p)})
	toNative, toLibp2p := second.NativeAddress(), second.Libp2pAddress()
	first := newBridge(t, Config{
		NativePeers: []*types.NetAddress{&toNative}, Libp2pPeers: []*types.NetAddress{&toLibp2p}, OnlyConfigured: true,
	})
	native.refused(t, first)
	libp2p.refused(t, first)
	require.Empty(t, first.Status().Pairs)
	require.Empty(t, second.Status().Pairs)
}

// Neither do three bridges in a ring, of which each has the next one as its only peer.
func TestBridgesInARingPairNobody(t *testing.T) {
	var ring []*Bridge
	at := make([]types.NetAddress, 6)
	for i := range 3 {
		for _, j := range []int{2 * i, 2*i + 1} {
			at[j] = loopback()
			at[j].Port = stacktest.FreePortAt(t, at[j].IP)
		}
	}
	keys := []*types.NodeKey{types.GenerateNodeKey(), types.GenerateNodeKey(), types.GenerateNodeKey()}
	for i := range 3 {
		after := (i + 1) % 3
		toNative, toLibp2p := at[2*after], at[2*after+1]
		toNative.ID, toLibp2p.ID = keys[after].ID(), keys[after].ID()
		b, err := New(*keys[i], Config{
			NativeListen: at[2*i], Libp2pListen: at[2*i+1], AllowDuplicateIP: true,
			NativePeers: []*types.NetAddress{&toNative}, Libp2pPeers: []*types.NetAddress{&toLibp2p}, OnlyConfigured: true,
		}, nil)
		require.NoError(t, err)
		require.NoError(t, b.Start())
		t.Cleanup(func() { require.NoError(t, b.Stop()) })
		ring = append(ring, b)
	}
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	for _, b := range ring {
		native.refused(t, b)
		libp2p.refused(t, b)
	}
	for _, b := range ring {
		require.Empty(t, b.Status().Pairs)
	}
}

// Two bridges in parallel each join the nodes that dial them, and neither passes on what the
// other presents: two nodes that dial both have a pair by each bridge and direction, no more.
func TestBridgesInParallel(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	var both []*Bridge
	for range 2 {
		both = append(both, newBridge(t, Config{NativePeers: addresses(native), Libp2pPeers: addresses(libp2p)}))
	}
	require.Eventually(t, func() bool {
		for _, b := range both { // a dial of a node that is connected or being dialed does nothing
			native.dial(b.NativeAddress())
			libp2p.dial(b.Libp2pAddress())
		}

		return len(native.sw.Peers().List()) == 4 && len(libp2p.sw.Peers().List()) == 4
	}, 2*testTimeout, 100*time.Millisecond)
	ids := make(map[types.ID]bool)
	for _, p := range native.sw.Peers().List() {
		ids[p.ID()] = true
		require.Equal(t, InitiatorLibp2p, p.NodeInfo().Moniker)
		require.True(t, isPresented(p.NodeInfo()))
	}
	require.Len(t, ids, 4)
	for _, b := range both {
		require.Eventually(t, func() bool { return len(b.Status().Pairs) == 2 }, testTimeout, time.Millisecond)
		for _, p := range b.Status().Pairs {
			require.Equal(t, native.address.ID, p.NativeID)
			require.Equal(t, libp2p.address.ID, p.Libp2pID)
		}
	}
	exchangeAll(t, native, libp2p)
}

// exchangeAll sends one message to each peer of each node, and waits for them.
func exchangeAll(t *testing.T, a, b *node) {
	t.Helper()
	sent := 0
	for _, n := range []*node{a, b} {
		for _, p := range n.sw.Peers().List() {
			require.True(t, p.Send(chTxs, []byte("to all")))
			sent++
		}
	}
	for range sent / 2 {
		require.Equal(t, "to all", next(t, a.messages).data)
		require.Equal(t, "to all", next(t, b.messages).data)
	}
	require.Empty(t, a.messages, "nothing comes twice")
	require.Empty(t, b.messages, "nothing comes twice")
}
