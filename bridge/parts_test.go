package bridge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestDerivedIdentityIsStableAndDistinct(t *testing.T) {
	bridge, node := types.GenerateNodeKey(), types.GenerateNodeKey().ID()
	first, err := deriveIdentity(bridge.PrivKey, node)
	require.NoError(t, err)
	again, err := deriveIdentity(bridge.PrivKey, node)
	require.NoError(t, err)
	require.Equal(t, first, again)

	otherNode, err := deriveIdentity(bridge.PrivKey, types.GenerateNodeKey().ID())
	require.NoError(t, err)
	require.NotEqual(t, first, otherNode)
	otherBridge, err := deriveIdentity(types.GenerateNodeKey().PrivKey, node)
	require.NoError(t, err)
	require.NotEqual(t, first, otherBridge)
	require.NotEqual(t, bridge.ID(), first.ID())
}

func TestTargetsAreReachableFirstThenLeastLoaded(t *testing.T) {
	ts := newTargets(idsOf("a", "b"), nil, unused())

	first := ts.pick(the("node"), nil)
	require.EqualValues(t, "a", first.addr.ID)
	second := ts.pick(the("another"), nil)
	require.EqualValues(t, "b", second.addr.ID, "the first has a pair already")
	require.Nil(t, ts.pick(the("node"), []*target{first, second}))

	ts.release(first, unreachable)
	third := ts.pick(the("node"), nil)
	require.EqualValues(t, "b", third.addr.ID, "the first is not reachable")
	require.EqualValues(t, "a", ts.pick(the("node"), []*target{third}).addr.ID, "but tried when nothing else is left")
}

// Without links of their own, four nodes hang together only if no two pairs join the
// same two.
func TestTargetsThatAreJoinedAlreadyComeLast(t *testing.T) {
	pairs := unused()
	native, libp2p := newTargets(idsOf("l1", "l2"), nil, pairs), newTargets(idsOf("p1", "p2"), nil, pairs)

	require.EqualValues(t, "p1", libp2p.pick(the("l1"), nil).addr.ID)
	require.EqualValues(t, "l2", native.pick(the("p1"), nil).addr.ID, "l1 has dialed it")
	require.EqualValues(t, "p2", libp2p.pick(the("l2"), nil).addr.ID)
	last := native.pick(the("p2"), nil)
	require.EqualValues(t, "l1", last.addr.ID, "l2 has as many pairs, but this one")

	third := libp2p.pick(the("l1"), nil)
	require.NotNil(t, third, "joined twice rather than not at all")
	libp2p.release(third, unknown)
	native.release(last, unknown)
	require.EqualValues(t, "p2", libp2p.pick(the("l1"), nil).addr.ID, "the pair has ended")
}

func TestConfigNamesTheField(t *testing.T) {
	valid := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 1}
	for field, config := range map[string]Config{
		"MaxPairs":           {MaxPairs: -1},
		"MaxPairsPerIP":      {MaxPairsPerIP: -1},
		"Channels":           {Channels: []*compat.ChannelDescriptor{{ID: 1}}},
		"NativePeers":        {NativePeers: []*types.NetAddress{nil}},
		"Libp2pPeers":        {Libp2pPeers: []*types.NetAddress{&valid, {}}},
		"Libp2pNetwork":      {Libp2pNetwork: strings.Repeat("/", 43)},
		"UnconditionalPeers": {UnconditionalPeers: []types.ID{"g1nobody"}},
		"MConfig":            {MConfig: mconn.MConnConfig{SendRate: -1}},
	} {
		_, err := New(*types.GenerateNodeKey(), config, nil)
		require.ErrorIs(t, err, ErrInvalidConfig, field)
		require.ErrorContains(t, err, field)
	}
}

// Two connections to one node at a time, under one identity, would end each other.
func TestConfigTakesAPeerOnce(t *testing.T) {
	first := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 1}
	again := types.NetAddress{ID: first.ID, Hostname: "node.example", Port: 2}
	twice := []*types.NetAddress{&first, &again}
	for field, config := range map[string]Config{"NativePeers": {NativePeers: twice}, "Libp2pPeers": {Libp2pPeers: twice}} {
		_, err := New(*types.GenerateNodeKey(), config, nil)
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorIs(t, err, errDuplicatePeer)
		require.ErrorContains(t, err, field)
	}
	_, err := New(*types.GenerateNodeKey(), Config{NativePeers: twice[:1], Libp2pPeers: twice[:1]}, nil)
	require.NoError(t, err, "one that speaks both protocols may be on both sides")
}

func TestLimitsOfLibp2pMakeRoomForAllPairs(t *testing.T) {
	limits := Config{MaxPairs: 1000, UnconditionalPeers: make([]types.ID, 5)}.libp2pLimits()
	require.NoError(t, limits.Validate())
	require.GreaterOrEqual(t, limits.SessionsPerPeer, 1005)
	require.GreaterOrEqual(t, limits.ConnectionsInbound, 1005)
	require.GreaterOrEqual(t, limits.Connections-limits.ConnectionsInbound, maxLearned)
}

func TestChannelsAreDescribed(t *testing.T) {
	descs := Config{}.withDefaults().describe([]byte{0x30, 0x99})
	require.Equal(t, []*compat.ChannelDescriptor{
		{ID: 0x30, Priority: 5, SendQueueCapacity: relayQueue, RecvBufferCapacity: 4096, RecvMessageCapacity: 22020096},
		{
			ID: 0x99, Priority: unknownPriority, SendQueueCapacity: relayQueue,
			RecvBufferCapacity: compat.DefaultRecvBufferCapacity, RecvMessageCapacity: compat.DefaultRecvMessageCapacity,
		},
	}, descs)
}

func TestPresentedNodeInfoHidesTheAddress(t *testing.T) {
	addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 26656}
	as := types.GenerateNodeKey().ID()
	other := types.NodeInfoOther{TxIndex: "on", RPCAddress: "tcp://10.0.0.5:26657"}
	shown := present(types.NodeInfo{NetAddress: &addr, Network: "n", Moniker: "m", Channels: []byte{1}, Other: other}, as)
	require.Equal(t, as, shown.ID())
	require.True(t, shown.NetAddress.IP.IsUnspecified())
	require.Equal(t, "m", shown.Moniker)
	require.Equal(t, types.NodeInfoOther{TxIndex: "on"}, shown.Other)
	require.False(t, addr.IP.IsUnspecified(), "the node's own NodeInfo is untouched")
}
