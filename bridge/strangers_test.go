package bridge

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var (
	here  = netip.MustParsePrefix("9.9.0.1/32")
	there = netip.MustParsePrefix("8.8.0.9/32")
)

// one returns targets with one that was learned.
func one(t *testing.T, o origin, from source) (*targets, *target) {
	t.Helper()
	ts := newTargets(nil, newLinks())
	ts.learn(*dialable(9999), o, from)
	require.Len(t, ts.list, 1)

	return ts, ts.list[0]
}

// searchPast reports whether a node that all targets refuse is brought to this one.
func (ts *targets) searchPast(node types.ID, want *target) bool {
	var tried []*target
	for t := ts.pick(node, nil); t != nil; t = ts.pick(node, tried) {
		ts.release(node, t, declined)
		if t == want {
			return true
		}
		tried = append(tried, t)
	}

	return false
}

// A host that dials the bridge under ever new IDs, and declines all nodes, does not keep a
// learned target of another source from being tried, whether that one has kept a pair, has
// one, has declined another node, or was not tried yet.
func TestFreshStrangersOfOneSourceDoNotKeepOutOthers(t *testing.T) {
	for name, before := range map[string]func(*targets, *target){
		"worked":    func(ts *targets, _ *target) { ts.release("x", ts.pick("x", nil), kept) },
		"busy":      func(ts *targets, _ *target) { ts.pick("x", nil) },
		"refused":   func(ts *targets, _ *target) { ts.release("x", ts.pick("x", nil), declined) },
		"not tried": func(*targets, *target) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ts, honest := one(t, announced, there)
				before(ts, honest)
				for round := range 20 {
					for i := range maxPerSource {
						ts.learn(*dialable(round*maxPerSource + i), announced, here)
					}
					require.True(t, ts.searchPast("victim", honest), "round %d", round)
					task.Sleep(t.Context(), 5*time.Second)
				}
			})
		})
	}
}

// Of learned targets on private networks, one that has kept a pair is tried first.
func TestProvenTargetGoesFirst(t *testing.T) {
	ts, fresh := one(t, announced, source{})
	ts.learn(*dialable(1), announced, source{})
	honest := ts.list[1]
	for range 2 {
		require.Same(t, honest, ts.pick("other", []*target{fresh}))
	}
	ts.release("other", honest, kept)
	picked := ts.pick("node", nil)
	require.Same(t, honest, picked, "though the other has no pair")

	ts.release("node", picked, unreachable)
	require.False(t, honest.proven)
	require.Same(t, fresh, ts.pick("node", nil))
}

// Of the targets that are down, configured ones are tried first, too.
func TestConfiguredTargetsThatAreDownGoBeforeStrangersThatAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("own"), newLinks())
		own := ts.list[0]
		ts.learn(*dialable(1), announced, source{})
		stranger := ts.pick("node", []*target{own})
		ts.release("node", stranger, unreachable)
		task.Sleep(t.Context(), time.Second)
		require.Same(t, own, ts.pick("node", nil))
		ts.release("node", own, unreachable)
		require.Same(t, own, ts.pick("node", nil), "though it has failed later")
	})
}

// A known target that is learned again keeps its record.
func TestWhoDialsAnewKeepsItsRecord(t *testing.T) {
	ts, known := one(t, announced, here)
	require.Same(t, known, ts.pick("node", nil))
	moved := *known.addr
	moved.Port++
	ts.learn(moved, announced, here)
	require.Equal(t, []*target{known}, ts.list)
	require.Equal(t, moved, *known.addr)
	require.Equal(t, 1, known.pairs)
	require.Nil(t, ts.pick("other", ts.list), "it is the one that was tried")
	ts.release("node", known, unreachable)
	require.Equal(t, 1, known.failures, "to accept and to drop is a failure")

	known.declined = time.Now()
	moved.Port++
	ts.learn(moved, announced, there)
	require.Equal(t, []*target{known}, ts.list)
	require.False(t, known.declined.IsZero())
	require.Equal(t, there, known.source)
}

// A target that moves to a source without room keeps its former address.
func TestWhoFindsNoRoomStaysWhereItWas(t *testing.T) {
	ts, known := one(t, announced, there)
	for i := range maxPerSource {
		ts.learn(*dialable(i), announced, here)
		ts.list[1+i].pairs = 1 // which keeps them
	}
	moved := *known.addr
	moved.Port++
	ts.learn(moved, announced, here)
	require.Contains(t, ts.list, known)
	require.Equal(t, there, known.source)
	require.NotEqual(t, moved.Port, known.addr.Port)
}

// A target that is forgotten during a search, and learned again, is not tried twice in it.
func TestForgottenTargetIsNotTriedAgain(t *testing.T) {
	ts, hint := one(t, told, source{})
	picked := ts.pick("node", nil)
	ts.release("node", picked, unreachable)
	require.Empty(t, ts.list)
	ts.learn(*hint.addr, announced, source{})
	require.Nil(t, ts.pick("node", []*target{picked}))
	require.NotNil(t, ts.pick("node", nil))
}

// Many IDs do not make the bridge dial one address many times.
func TestOneTargetForEachAddress(t *testing.T) {
	ts := newTargets(idsOf("own"), newLinks())
	own, victim := ts.list[0], dialable(1)
	own.addr = dialable(2)
	as := func(addr *types.NetAddress) types.NetAddress {
		other := *addr
		other.ID = types.GenerateNodeKey().ID()

		return other
	}
	for _, o := range []origin{announced, told} {
		for range maxPerSource {
			ts.learn(as(victim), o, here)
			ts.learn(as(own.addr), o, here)
		}
	}
	require.Len(t, ts.list, 2)
	require.Equal(t, configured, ts.list[0].origin)
	require.Equal(t, announced, ts.list[1].origin)

	home := netgroup.PublicHost(netgroup.FromIP(victim.IP))
	ts.learn(*victim, announced, home)
	require.Len(t, ts.list, 2)
	require.Equal(t, victim.ID, ts.list[1].addr.ID, "who is there displaces who is not")
	ts.learn(as(victim), announced, here)
	require.Equal(t, victim.ID, ts.list[1].addr.ID, "and not the other way round")
	next := as(victim)
	ts.learn(next, announced, home)
	require.Equal(t, next.ID, ts.list[1].addr.ID, "a node that was set up anew")
	ts.list[1].proven = true
	ts.learn(*victim, announced, home)
	require.Equal(t, next.ID, ts.list[1].addr.ID, "one that has worked stays")
}

// Learned targets of many sources do not displace one that has kept a pair.
func TestProvenTargetIsNotPushedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, honest := one(t, announced, there)
		ts.release("node", ts.pick("node", nil), kept)
		task.Sleep(t.Context(), time.Second)
		for i := range 2 * maxLearned {
			ts.learn(*dialable(i), announced, netip.PrefixFrom(netip.AddrFrom4([4]byte{9, 9, 1, byte(i / maxPerSource)}), 32))
		}
		require.Len(t, ts.list, maxLearned)
		require.Contains(t, ts.list, honest)
	})
}

// Nodes that dial the bridge do not end the search in the DHT, nor do found ones that decline
// all nodes, and a found one that becomes useless starts it again.
func TestStrangersDoNotEndTheSearchInTheDHT(t *testing.T) {
	ts := newTargets(nil, newLinks())
	lost := 0
	ts.lost = func() { lost++ }
	for i := range maxFound {
		ts.learn(*dialable(i), announced, source{})
	}
	require.Zero(t, ts.countUseful())
	for _, known := range ts.list {
		ts.learnFound(*known.addr, source{})
	}
	require.EqualValues(t, maxFound, ts.countUseful())

	first := ts.pick("node", nil)
	ts.release("node", first, declined)
	require.EqualValues(t, maxFound-1, ts.countUseful())
	require.Equal(t, 1, lost)
	second := ts.pick("node", nil)
	ts.release("node", second, unreachable)
	require.EqualValues(t, maxFound-2, ts.countUseful())
	require.Equal(t, 2, lost)

	third := ts.pick("node", nil)
	ts.release("node", third, kept)
	third.pairs++
	ts.links.pairs[linkOf("node", third.addr.ID)]++
	ts.release("node", third, declined)
	require.EqualValues(t, maxFound-2, ts.countUseful(), "one that has worked may refuse a node")
	require.Equal(t, 2, lost)
}
