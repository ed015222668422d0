package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

var errBadMessage = errors.New("bad message")

// dialFrom dials the bridge as a native node of the network does, and returns the refusal.
func dialFrom(t *testing.T, b *Bridge, network string) error {
	t.Helper()
	key := types.GenerateNodeKey()
	addr := loopback()
	addr.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &addr, Network: network, Version: "v1.0.0", Channels: []byte{chVotes, chTxs}, Moniker: "other",
	}
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), quiet())
	defer func() { require.NoError(t, tr.Close()) }()
	_, err := tr.Dial(t.Context(), b.NativeAddress(), b.newPair(InitiatorNative).native)

	return err
}

// A configured target that refuses one native node is still the first for others.
func TestRefusedNodeDoesNotDemoteAConfiguredTarget(t *testing.T) {
	own, stranger, honest := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(own)})
	require.Error(t, dialFrom(t, b, "another"))
	stranger.refused(t, b)
	honest.join(t, b.NativeAddress())
	own.met(t)
	require.Zero(t, stranger.sw.Peers().NumInbound())
}

// So is one that ended pairs because a node sent invalid messages, however often.
func TestBadMessagesDoNotDemoteAConfiguredTarget(t *testing.T) {
	own, stranger, honest := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(own)})
	stranger.refused(t, b)
	for range 3 {
		evil := newNode(t, InitiatorNative)
		towards := evil.join(t, b.NativeAddress())
		away := own.met(t)
		require.True(t, towards.Send(chTxs, []byte("undecodable")))
		next(t, own.messages)
		own.sw.StopPeerForError(away, errBadMessage)
		next(t, evil.removed)
	}
	honest.join(t, b.NativeAddress())
	own.met(t)
	require.Zero(t, stranger.sw.Peers().NumInbound())
}

// A node that ends the pair, because its target sent an invalid message, gets another
// target next.
func TestStrangersTakeTurns(t *testing.T) {
	older, newer, native := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{})
	older.refused(t, b)
	newer.refused(t, b)
	turn := func() *node {
		towards := native.join(t, b.NativeAddress())
		awaitPairs(t, b, 1)
		target := older
		if b.Status().Pairs[0].Libp2pID == newer.address.ID {
			target = newer
		}
		require.True(t, target.met(t).Send(chTxs, []byte("undecodable")))
		next(t, native.messages)
		native.sw.StopPeerForError(towards, errBadMessage)
		next(t, native.removed)
		next(t, target.removed)
		awaitPairs(t, b, 0)

		return target
	}
	evil := turn()
	if native.late == 0 {
		require.Same(t, newer, evil, "the newer one is tried first")
	}
	for begun := time.Now(); ; { // a dial that is late ends a pair, too, so that the repeated one goes elsewhere
		late, former := native.late, evil
		if evil = turn(); native.late == late {
			require.NotSame(t, former, evil)

			return
		}
		require.Less(t, time.Since(begun), testTimeout, "each dial was late")
	}
}

// What each outcome does to its target. A learned target takes turns with others when a node
// ends the pair, even late, so it gains nothing by sending invalid messages late.
func TestWhatOutcomesComeDownTo(t *testing.T) {
	const down, last, proven = "tried after all others", "tried after its kind", "proven"
	for o, want := range map[outcome][2][]string{
		unknown:       {nil, nil},
		declined:      {{last}, {last}},
		unreachable:   {{down}, {down}},
		kept:          {{proven}, {proven}},
		faulty:        {{last}, {down}},
		dropped:       {{last}, {last}},
		nodeLeftEarly: {nil, {last}},
		nodeLeft:      {{proven}, {last, proven}},
	} {
		for i, own := range []bool{true, false} {
			known := record{}.after(o, own)
			var got []string
			for effect, has := range map[string]bool{
				down: known.isDown(), last: known.isTroubled() && !known.isDown(), proven: known.proven,
			} {
				if has {
					got = append(got, effect)
				}
			}
			require.ElementsMatch(t, want[i], got, "outcome %d of a configured target: %t", o, own)
		}
	}

	for o := declined; o <= nodeLeft; o++ {
		ts := newTargets(idsOf("own"), nil, unused())
		ts.release(ts.pick(the("node"), nil), unreachable)
		ts.release(ts.pick(the("node"), nil), o)
		require.Equal(t, o == unreachable, ts.records["own"].isDown(), "one that was reached is not down: %d", o)
	}

	ts := targetsWithBook(t)
	ts.announce(*dialable(1), nil)
	ts.announce(*dialable(2), nil)
	first := ts.pick(the("node"), nil)
	ts.after(first, nodeLeft)
	require.True(t, ts.records[first.addr.ID].proven)
	require.NotEqual(t, first.addr.ID, ts.pick(the("node"), nil).addr.ID)
}

// A pair that could not be completed, for what its target has told of itself, is over for
// the node as one that it has ended at once.
func TestAbandonedPairTellsOfItsTarget(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	for initiator, dialed := range map[string]func(*pair) *side{
		InitiatorNative: func(p *pair) *side { return p.libp2p },
		InitiatorLibp2p: func(p *pair) *side { return p.native },
	} {
		p := b.newPair(initiator)
		s := dialed(p)
		far := &farSide{}
		s.peer = far
		s.abandon(errBadMessage)
		require.Equal(t, nodeLeftEarly, p.outcome())
		require.Equal(t, []string{"stop", "close"}, far.ends)

		p = b.newPair(initiator)
		p.end(nil, errReplaced)
		s = dialed(p)
		s.peer = far
		s.abandon(errBadMessage)
		require.Equal(t, unknown, p.outcome(), "the node has another")
	}
}
