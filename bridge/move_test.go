package bridge

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// movesAtOnce lets pairs move as soon as they may.
func movesAtOnce(b *Bridge) {
	b.moves = moveTimes{every: 10 * time.Millisecond, late: time.Hour}
}

// persists starts a native node that keeps dialing the bridge.
func persists(t *testing.T, b *Bridge) *node {
	t.Helper()
	at := b.NativeAddress()

	return startNode(t, InitiatorNative, types.GenerateNodeKey(), nil, func(transport) adapter.SwitchOption {
		return adapter.WithPersistentPeers([]*types.NetAddress{&at})
	})
}

// awaitTargets waits until the pairs are with the targets, as many with each as is said.
func awaitTargets(t *testing.T, b *Bridge, want map[*node]int) {
	t.Helper()
	counts := func() map[types.ID]int {
		got := make(map[types.ID]int)
		for _, p := range b.Status().Pairs {
			got[p.Libp2pID]++
		}

		return got
	}
	ids := make(map[types.ID]int)
	for n, pairs := range want {
		ids[n.address.ID] = pairs
	}
	require.Eventually(t, func() bool { return fmt.Sprint(counts()) == fmt.Sprint(ids) }, 2*testTimeout, 5*time.Millisecond,
		"%v", ids)
}

// When a configured node comes back, the pairs that were with a stranger meanwhile move to it,
// each of them once.
func TestPairsMoveToAConfiguredNodeThatIsBack(t *testing.T) {
	stranger, key := newNode(t, InitiatorLibp2p), types.GenerateNodeKey()
	own := startNodeAt(t, InitiatorLibp2p, key, freePort(t), nil)
	at := own.address
	own.stop()
	b := newBridgeWith(t, Config{Libp2pPeers: []*types.NetAddress{&at}, AllowDuplicateIP: true}, movesAtOnce)
	stranger.refused(t, b) // so the bridge knows it
	natives := []*node{persists(t, b), persists(t, b), persists(t, b)}
	awaitTargets(t, b, map[*node]int{stranger: 3})

	own = startNodeAt(t, InitiatorLibp2p, key, at, nil)
	b.libp2pTargets.appeared(at.ID, true, false) // in place of the end of its penalty
	awaitTargets(t, b, map[*node]int{own: 3})
	for _, n := range natives {
		next(t, n.added)
		next(t, n.removed)
		next(t, n.added)
		require.Empty(t, n.removed, "it was moved once")
	}
}

// A pair with traffic stays where it is until there is none.
func TestPairsMoveAtQuietMoments(t *testing.T) {
	p := &pair{since: time.Now().Add(-time.Hour), native: &side{}, libp2p: &side{}}
	p.native.total, p.libp2p.total = &meter{}, &meter{}
	require.Greater(t, p.idle(), time.Minute)
	p.libp2p.count(1, 5)
	require.Less(t, p.idle(), time.Minute)
}

// Which target is better for a node than the one it has.
func TestBetterTargets(t *testing.T) {
	ts := targetsWithBook(t, idsOf("a", "b")...)
	strange := dialable(1)
	ts.announce(*strange, nil)
	all := func(node types.ID) map[types.ID]*target {
		m := make(map[types.ID]*target)
		for _, t := range ts.all(the(node)) {
			m[t.addr.ID] = t
		}

		return m
	}
	stranger := all("n1")[strange.ID]
	require.NotNil(t, stranger)
	hold := func(node types.ID, id types.ID) *target {
		held := all(node)[id]
		ts.inUse.list[held] = the(node)

		return held
	}
	at := hold("n1", stranger.addr.ID)
	require.True(t, ts.better(the("n1"), at).configured, "any configured one is better than a stranger")
	ts.records["a"] = record{}.after(unreachable, true)
	require.EqualValues(t, "b", ts.better(the("n1"), at).addr.ID)
	ts.records["b"] = record{}.after(declined, true)
	require.EqualValues(t, "b", ts.better(the("n1"), at).addr.ID, "it has declined another node, perhaps")
	ts.records["b"] = record{}.after(unreachable, true)
	require.Nil(t, ts.better(the("n1"), at), "both are down")

	over := record{failures: 1, troubled: time.Now().Add(-time.Hour)}
	ts.records = map[types.ID]record{"a": over}
	require.EqualValues(t, "b", ts.better(the("n1"), at).addr.ID, "nothing shows that the first is up again")
	over.accepts = true
	ts.records = map[types.ID]record{"a": over}
	require.EqualValues(t, "a", ts.better(the("n1"), at).addr.ID)

	ts.records = map[types.ID]record{}
	first := hold("n2", "a")
	require.Nil(t, ts.better(the("n2"), first), "one pair is no load")
	first.configured = false // when the pair was made
	require.Nil(t, ts.better(the("n2"), first), "it was configured since")
	first.configured = true
	hold("n3", "a")
	require.EqualValues(t, "b", ts.better(the("n2"), first).addr.ID)
	hold("n4", "b")
	require.Nil(t, ts.better(the("n2"), first), "two against one is even")
	hold("n5", "a")
	require.EqualValues(t, "b", ts.better(the("n2"), first).addr.ID)
	require.Nil(t, ts.better(the("n4"), all("n4")["b"]))
	host := netip.MustParsePrefix("9.9.9.9/32")
	doubled := dialer{id: "n2", host: host}
	ts.inUse.list[all("n6")["b"]] = dialer{id: "n6", host: host}
	hold("n7", "a")
	hold("n8", "a")
	require.Nil(t, ts.better(doubled, first), "another node of its host is there")
}

// A target that refuses the nodes that are moved to it gets them less and less often.
func TestMovesInVain(t *testing.T) {
	b := newBridgeWith(t, Config{}, func(b *Bridge) { b.moves.every = time.Hour })
	m := &mover{Bridge: b, vain: make(map[types.ID]vain)}
	p := b.newPair(InitiatorNative)
	p.id, p.since = "node", time.Now().Add(time.Minute)
	p.target = &target{addr: types.NetAddress{ID: "other"}}
	close(p.ready)
	b.slots.mtx.Lock()
	b.slots.held[p.claim] = &slot{pairs: []*pair{p}}
	b.slots.mtx.Unlock()
	var waits []time.Duration
	for range 3 {
		m.last, m.moved = &move{p.claim, "wanted"}, time.Now()
		require.True(t, m.settle())
		waits = append(waits, time.Until(m.vain["wanted"].until).Round(time.Minute))
	}
	require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}, waits)
	p.target = &target{addr: types.NetAddress{ID: "wanted"}}
	m.last = &move{p.claim, "wanted"}
	require.True(t, m.settle())
	require.Empty(t, m.vain)

	m.last, m.moved = &move{claim{InitiatorNative, "gone", ""}, "wanted"}, time.Now()
	require.False(t, m.settle(), "its node is not back")
	m.moved = time.Now().Add(-time.Minute)
	require.True(t, m.settle())
	b.slots.mtx.Lock()
	delete(b.slots.held, p.claim)
	b.slots.mtx.Unlock()
}
