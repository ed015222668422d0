package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
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

// A native node that a configured target refuses does not hand the others to strangers.
func TestRefusedNodeDoesNotDemoteAConfiguredTarget(t *testing.T) {
	own, stranger, honest := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(own)})
	require.Error(t, dialFrom(t, b, "another"))
	stranger.refused(t, b)
	honest.dial(b.NativeAddress())
	next(t, honest.added)
	next(t, own.added)
	require.Zero(t, stranger.sw.Peers().NumInbound())
}

// Nor does one whose messages make a configured target end the pair, however often.
func TestBadMessagesDoNotDemoteAConfiguredTarget(t *testing.T) {
	own, stranger, honest := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(own)})
	stranger.refused(t, b)
	for range 3 {
		evil := newNode(t, InitiatorNative)
		evil.dial(b.NativeAddress())
		towards, away := next(t, evil.added), next(t, own.added)
		require.True(t, towards.Send(chTxs, []byte("undecodable")))
		next(t, own.messages)
		own.sw.StopPeerForError(away, errBadMessage)
		next(t, evil.removed)
	}
	honest.dial(b.NativeAddress())
	next(t, honest.added)
	next(t, own.added)
	require.Zero(t, stranger.sw.Peers().NumInbound())
}

// A node whose libp2p node sends what it cannot bear gets another one next.
func TestStrangersTakeTurns(t *testing.T) {
	evil, good, native := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{})
	evil.refused(t, b)
	good.refused(t, b)
	native.dial(b.NativeAddress())
	towards, away := next(t, native.added), next(t, evil.added)
	require.True(t, away.Send(chTxs, []byte("undecodable")))
	next(t, native.messages)
	native.sw.StopPeerForError(towards, errBadMessage)
	next(t, native.removed)
	next(t, evil.removed)

	native.dial(b.NativeAddress())
	next(t, native.added)
	next(t, good.added)
}

// What a pair of some age tells: it does not help a stranger to wait before it sends what
// nobody can bear.
func TestWhatVerdictsComeDownTo(t *testing.T) {
	own, stranger := &target{origin: configured}, &target{origin: proved}
	for v, want := range map[verdict][2]verdict{
		neutral: {neutral, neutral},
		refused: {refused, refused},
		failed:  {failed, failed},
		worked:  {worked, worked},
		atFault: {refused, failed},
		brief:   {neutral, refused},
		parted:  {worked, parted},
	} {
		require.Equal(t, want, [2]verdict{v.about(own), v.about(stranger)}, v)
	}

	for v := refused; v <= parted; v++ {
		ts := newTargets(idsOf("own"), newLinks())
		ts.release("node", ts.pick("node", nil), failed)
		ts.release("node", ts.pick("node", nil), v)
		require.Equal(t, v == failed, ts.list[0].isDown(time.Now()), "one that was reached is not down: %d", v)
	}

	ts := newTargets(nil, newLinks())
	ts.learn(*dialable(1), proved, source{})
	ts.learn(*dialable(2), proved, source{})
	first := ts.pick("node", nil)
	ts.release("node", first, parted)
	require.True(t, first.proven)
	require.NotSame(t, first, ts.pick("node", nil))
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
		s.peer, s.remove = far, func(compat.PeerConn) {}
		s.abandon(errBadMessage)
		require.Equal(t, brief, p.verdict())
		require.Equal(t, []string{"stop"}, far.ends)

		p = b.newPair(initiator)
		p.end(nil, errReplaced)
		s = dialed(p)
		s.peer, s.remove = far, func(compat.PeerConn) {}
		s.abandon(errBadMessage)
		require.Equal(t, neutral, p.verdict(), "the node has another")
	}
}
