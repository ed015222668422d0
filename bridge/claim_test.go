package bridge

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// dialAs makes a connection to the bridge that nobody serves.
func dialAs(t *testing.T, b *Bridge, key *types.NodeKey) compat.PeerConn {
	t.Helper()
	addr := loopback()
	addr.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &addr, Network: "bridged", Version: "v1.0.0", Channels: []byte{chVotes, chTxs}, Moniker: "twice",
	}
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), quiet())
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	p, err := tr.Dial(ctx, b.NativeAddress(), b.newPair(InitiatorNative).native)
	require.NoError(t, err)

	return p
}

// A node that opens another pair has lost its former one, whether the bridge knows
// it or not, and however full the bridge is.
func TestNodeThatComesBackReplacesItsPair(t *testing.T) {
	for _, config := range []Config{{}, {MaxPairs: 1}, {MaxPairsPerIP: 1}} {
		modern := newNode(t, InitiatorLibp2p)
		config.Libp2pPeers = addresses(modern)
		b := newBridge(t, config)
		key := types.GenerateNodeKey()

		dialAs(t, b, key)
		former := next(t, modern.added).ID()
		dialAs(t, b, key)
		require.Equal(t, former, next(t, modern.removed))
		require.Equal(t, former, next(t, modern.added).ID(), "the same identity")
	}
}

// Of two pairs that a node has opened the newer one stays, whichever comes first.
func TestNewerPairStays(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	id := types.GenerateNodeKey().ID()
	older, newer := b.newPair(InitiatorNative), b.newPair(InitiatorNative)
	newer.since = older.since.Add(time.Nanosecond)

	require.NoError(t, b.claim(t.Context(), newer, id))
	require.ErrorIs(t, b.claim(t.Context(), older, id), errReplaced)
	require.False(t, isClosed(newer.ctx.Done()))
	otherSide := b.newPair(InitiatorLibp2p)
	require.NoError(t, b.claim(t.Context(), otherSide, id), "a node may open one on each side")
}

// A pair in the making gives up at once when the node opens another.
func TestReplacedPairIsNotMade(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	id := types.GenerateNodeKey().ID()
	former := b.newPair(InitiatorNative)
	require.NoError(t, b.claim(t.Context(), former, id))
	found := make(chan error, 1)
	go func() {
		defer b.disclaim(former, id)
		_, _, err := (&search{
			bridge: b, node: the(id), targets: newTargets(idsOf("target"), nil, unused()), try: silentTarget,
		}).find(former.ctx)
		found <- err
	}()

	newer := b.newPair(InitiatorNative)
	newer.since = former.since.Add(time.Nanosecond)
	require.NoError(t, b.claim(newer.ctx, newer, id))
	err = <-found
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}
