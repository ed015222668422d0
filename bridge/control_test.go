package bridge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Block ends the pairs of a node on either side and keeps it out, Unblock lets it in.
func TestBlockWhileTheBridgeRuns(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	for _, blocked := range []*node{native, libp2p} {
		native.join(t, b.NativeAddress())
		next(t, libp2p.added)
		require.NoError(t, b.Block(blocked.address.ID))
		next(t, native.removed)
		next(t, libp2p.removed)
		require.False(t, native.comes(t, b.NativeAddress()))
		require.Equal(t, []types.ID{blocked.address.ID}, b.Status().BlockedPeers)
		require.True(t, b.Unblock(blocked.address.ID))
		require.False(t, b.Unblock(blocked.address.ID))
	}
	native.join(t, b.NativeAddress())
	err := b.Block("g1xx")
	require.ErrorIs(t, err, ErrInvalidPeer)
	require.ErrorContains(t, err, `"g1xx" names no node`)
	require.NotContains(t, err.Error(), "configuration")
}

// A blocked native target is not dialed.
func TestBlockedNativeTarget(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{NativePeers: addresses(native)})
	require.NoError(t, b.Block(native.address.ID))
	require.Equal(t, TargetBlocked, b.Status().Targets[0].State)
	libp2p.refused(t, b)
	require.Empty(t, b.Status().Counters.Dials)
}

func TestForget(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	native.join(t, b.NativeAddress())
	require.Eventually(t, func() bool { return len(b.Status().Pairs) == 1 }, testTimeout, time.Millisecond)
	require.NoError(t, b.Forget(libp2p.address.ID))
	require.Len(t, b.Status().Pairs, 1, "pairs stay")
	native.stop()
	require.Eventually(t, func() bool { return len(b.Status().Targets) == 0 }, testTimeout, time.Millisecond)
	require.ErrorIs(t, b.Forget(libp2p.address.ID), ErrUnknownPeer)
	require.False(t, newNode(t, InitiatorNative).comes(t, b.NativeAddress()))
}

// Connect takes a target of either side, and changes the address of one that is known.
func TestConnect(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{})
	wrong := libp2p.address
	wrong.Port = 1
	require.NoError(t, b.Connect(InitiatorLibp2p, wrong))
	require.NoError(t, b.Connect(InitiatorLibp2p, libp2p.address))
	require.Len(t, b.Status().Targets, 1)
	native.join(t, b.NativeAddress())

	require.NoError(t, b.Connect(InitiatorNative, native.address))
	other := newNode(t, InitiatorLibp2p)
	other.join(t, b.Libp2pAddress())

	own := native.address
	own.ID = b.key.ID()
	require.ErrorIs(t, b.Connect(InitiatorLibp2p, own), ErrInvalidPeer)
	require.ErrorIs(t, b.Connect("neither", native.address), ErrInvalidSide)
	require.ErrorIs(t, b.Connect(InitiatorNative, types.NetAddress{ID: native.address.ID}), ErrInvalidPeer)
	require.NoError(t, b.Block(native.address.ID))
	require.ErrorIs(t, b.Connect(InitiatorNative, native.address), ErrInvalidPeer)
}

// Reload replaces targets and blocks, and changes nothing if the configuration is not valid.
func TestReload(t *testing.T) {
	first, second, native := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(first), OnlyConfigured: true})
	bad := types.NetAddress{ID: second.address.ID}
	require.ErrorIs(t, b.Reload(Config{Libp2pPeers: []*types.NetAddress{&bad}}), ErrInvalidConfig)
	require.Equal(t, first.address.ID, b.Status().Targets[0].ID)

	require.NoError(t, b.Reload(Config{
		Libp2pPeers: addresses(second), NativePeers: addresses(newNode(t, InitiatorNative)),
		BlockedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}))
	native.join(t, b.NativeAddress())
	second.met(t)
	require.Equal(t, []string{"10.0.0.0/8"}, b.Status().BlockedIPs)
	require.Equal(t, b.slots.total-b.slots.total/4, b.slots.perSide, "nodes of both sides get pairs now")

	require.NoError(t, b.Reload(Config{Libp2pPeers: addresses(first), BlockedPeers: []types.ID{second.address.ID}}))
	next(t, native.removed)
	native.join(t, b.NativeAddress())
	first.met(t)
}

// A reload that cannot be done changes nothing, neither targets nor blocks, on either side.
func TestReloadIsAllOrNothing(t *testing.T) {
	first, blocked := newNode(t, InitiatorLibp2p), types.GenerateNodeKey().ID()
	b := newBridge(t, Config{Libp2pPeers: addresses(first), BlockedPeers: []types.ID{blocked}})
	before := b.Status()
	ids, networks := b.libp2p.Load().Blocked()
	many := make([]netip.Prefix, lp2p.MaxBlocked+1)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for name, config := range map[string]Config{
		"too many blocked":  {BlockedIPs: many},
		"the bridge itself": {Libp2pPeers: []*types.NetAddress{{ID: b.key.ID(), IP: first.address.IP, Port: 1}}},
		"a bad ID":          {BlockedPeers: []types.ID{"nobody"}},
	} {
		require.ErrorIs(t, b.Reload(config), ErrInvalidConfig, name)
		after := b.Status()
		require.Equal(t, before.Targets, after.Targets, name)
		require.Equal(t, before.BlockedPeers, after.BlockedPeers, name)
		require.Equal(t, before.BlockedIPs, after.BlockedIPs, name)
		idsNow, networksNow := b.libp2p.Load().Blocked()
		require.Equal(t, ids, idsNow, name)
		require.Equal(t, networks, networksNow, name)
	}
}
