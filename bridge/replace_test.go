package bridge

import (
	"context"
	"net/netip"
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

	return dialUntilMet(t, tr, b, b.newPair(InitiatorNative).native)
}

// dialUntilMet dials the bridge as often as it takes: on a busy machine a handshake may take longer than
// a native node waits for it.
func dialUntilMet(t *testing.T, tr compat.Transport, b *Bridge, behavior compat.PeerBehavior) compat.PeerConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	for {
		p, err := tr.Dial(ctx, b.NativeAddress(), behavior)
		if err == nil {
			return p
		}
		require.NoError(t, ctx.Err(), "%v", err)
	}
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

// opened returns a pair of the node, with a slot.
func (b *Bridge) opened(t *testing.T, initiator string, id types.ID) *pair {
	t.Helper()
	p := b.newPair(initiator)
	p.id = id
	require.NoError(t, b.slots.take(p, netip.MustParsePrefix("9.9.9.9/32")))

	return p
}

// Of two pairs that a node has opened the newer one stays, whichever comes first.
func TestNewerPairStays(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	id := types.GenerateNodeKey().ID()
	older, newer := b.opened(t, InitiatorNative, id), b.opened(t, InitiatorNative, id)
	newer.since = older.since.Add(time.Nanosecond)

	require.ErrorIs(t, b.slots.replace(t.Context(), older), errReplaced)
	require.False(t, isClosed(newer.ctx.Done()))
	b.slots.giveBack(older)
	require.NoError(t, b.slots.replace(t.Context(), newer))
	require.False(t, isClosed(newer.ctx.Done()))
	otherSide := b.opened(t, InitiatorLibp2p, id)
	require.NoError(t, b.slots.replace(t.Context(), otherSide), "a node may open one on each side")
	require.False(t, isClosed(newer.ctx.Done()))
}

// A pair in the making gives up at once when the node opens another, which waits for that.
func TestReplacedPairIsNotMade(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	id := types.GenerateNodeKey().ID()
	former := b.opened(t, InitiatorNative, id)
	found := make(chan error, 1)
	go func() {
		defer b.slots.giveBack(former)
		_, _, err := (&search{
			bridge: b, node: the(id), targets: newTargets(idsOf("target"), nil, unused()), try: silentTarget,
		}).find(former.ctx, former.ctx)
		found <- err
	}()

	newer := b.opened(t, InitiatorNative, id)
	newer.since = former.since.Add(time.Nanosecond)
	require.NoError(t, b.slots.replace(newer.ctx, newer))
	require.True(t, isClosed(former.gone))
	err = <-found
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}
