package bridge

import (
	"math"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A native node that dials three identities of a bridge has a counterpart by each, none of
// them twice. For the libp2p nodes it is one node, with one ID.
func TestNodeHasACounterpartByEachIdentity(t *testing.T) {
	targets := []*node{newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)}
	b := newBridge(t, Config{Libp2pPeers: addresses(targets...), OnlyConfigured: true, Identities: 3})
	at := b.NativeAddresses()
	require.Len(t, at, 3)
	require.Equal(t, b.NativeAddress(), at[0])
	require.Equal(t, b.key.ID(), at[0].ID)

	n := newNode(t, InitiatorNative)
	for _, to := range at[:2] {
		require.Equal(t, to.ID, n.join(t, to).ID())
	}
	first, second := targets[0].met(t), targets[1].met(t)
	require.Equal(t, first.ID(), second.ID(), "it is presented as one node")
	awaitPairs(t, b, 2)

	require.False(t, n.comes(t, at[2]), "no counterpart is left for a third")
	extra := newNode(t, InitiatorNative)
	require.Equal(t, at[2].ID, extra.join(t, at[2]).ID(), "another node gets one by any identity")

	// The end of one pair leaves the other alone, and frees its counterpart.
	targets[0].sw.StopPeerForError(first, errBadMessage)
	gone := next(t, n.removed)
	require.Equal(t, at[2].ID, n.joinAtLast(t, at[2]).ID())
	require.False(t, n.sw.Peers().Has(gone))
	require.Len(t, n.sw.Peers().List(), 2)
}

func TestIdentitiesAreTheSameAtEveryStart(t *testing.T) {
	key := types.GenerateNodeKey()
	first, err := ownKeys(*key, 4)
	require.NoError(t, err)
	again, err := ownKeys(*key, 2)
	require.NoError(t, err)
	require.Equal(t, first[:2], again)
	require.Equal(t, *key, first[0])
	ids := map[types.ID]bool{}
	for _, k := range first {
		ids[k.ID()] = true
	}
	require.Len(t, ids, 4)
	node, err := deriveIdentity(key.PrivKey, "1")
	require.NoError(t, err)
	require.False(t, ids[node.ID()], "no node is presented under an identity of the bridge")
}

func TestIdentitiesAreChecked(t *testing.T) {
	key := types.GenerateNodeKey()
	own, err := ownKeys(*key, 2)
	require.NoError(t, err)
	itself := types.NetAddress{ID: own[1].ID(), IP: net.IPv4(8, 8, 8, 8), Port: 1}
	for _, config := range []Config{
		{Identities: -1},
		{Identities: MaxIdentities + 1},
		{Identities: 2, NativeListen: types.NetAddress{Port: math.MaxUint16}},
		{Identities: 2, NativePeers: []*types.NetAddress{&itself}},
	} {
		_, err := New(*key, config, nil)
		require.ErrorIs(t, err, ErrInvalidConfig)
	}
	_, err = New(*key, Config{NativeListen: types.NetAddress{Port: math.MaxUint16}}, nil)
	require.NoError(t, err)
}
