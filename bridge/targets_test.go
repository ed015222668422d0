package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

func idsOf(names ...string) []*types.NetAddress {
	var addrs []*types.NetAddress
	for _, name := range names {
		addrs = append(addrs, &types.NetAddress{ID: types.ID(name)})
	}

	return addrs
}

// A node that speaks both protocols is not its own peer.
func TestNodeIsNotPairedWithItself(t *testing.T) {
	ts := newTargets(idsOf("a"), newLinks())
	require.Nil(t, ts.pick("a", nil))
	require.NotNil(t, ts.pick("b", nil))

	key := types.GenerateNodeKey()
	modern, other := newNodeOf(t, InitiatorLibp2p, key), newNode(t, InitiatorLibp2p)
	native := newNodeOf(t, InitiatorNative, key)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern, other)})
	native.dial(b.NativeAddress())
	next(t, other.added)
}

// However many targets are dead, the live one is found by a node that asks as often
// as nodes do.
func TestManyDeadTargetsDoNotStarveTheLiveOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := make([]*types.NetAddress, 0, 21)
		for i := range 20 {
			addrs = append(addrs, &types.NetAddress{ID: types.ID(fmt.Sprint("dead", i))})
		}
		ts := newTargets(append(addrs, &types.NetAddress{ID: "live"}), newLinks())
		for round := range 100 {
			var tried []*target
			for range 2 { // there is time for two silent ones
				picked := ts.pick("node", tried)
				if picked.addr.ID == "live" {
					require.LessOrEqual(t, round, 20, "at least one of those that were not tried yet in each round")

					return
				}
				ts.release("node", picked, unreachable)
				tried = append(tried, picked)
			}
			task.Sleep(t.Context(), 10*time.Second)
		}
		require.Fail(t, "never found")
	})
}

func TestPenaltyGrowsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("a"), newLinks())
		a := ts.list[0]
		for _, penalty := range []time.Duration{failurePenalty, 2 * failurePenalty, 4 * failurePenalty} {
			require.Same(t, a, ts.pick("node", nil))
			ts.release("node", a, unreachable)
			require.True(t, a.isDown(time.Now().Add(penalty-1)))
			require.False(t, a.isDown(time.Now().Add(penalty)))
		}
		for range 100 {
			ts.pick("node", nil)
			ts.release("node", a, unreachable)
		}
		require.False(t, a.isDown(time.Now().Add(maxPenalty)))
		ts.pick("node", nil)
		ts.release("node", a, kept)
		require.False(t, a.isDown(time.Now()))
		require.Zero(t, a.pairs)
	})
}

// Learned targets come after configured ones, however many there are: even a configured one
// that is down is tried after the first learned one.
func TestStrangersDoNotKeepOutConfiguredTargets(t *testing.T) {
	ts := newTargets(idsOf("own"), newLinks())
	for i := range maxLearned {
		ts.learn(*dialable(i), announced, source{})
	}
	own := ts.pick("node", nil)
	require.EqualValues(t, "own", own.addr.ID)
	ts.release("node", own, unreachable)

	stranger := ts.pick("node", nil)
	require.NotNil(t, stranger)
	require.Equal(t, announced, stranger.origin, "a stranger who is there is better than nobody")
	ts.release("node", stranger, unreachable)
	require.Same(t, own, ts.pick("node", []*target{stranger}))

	tried := []*target{own, stranger}
	for next := ts.pick("node", tried); next != nil; next = ts.pick("node", tried) {
		ts.release("node", next, unreachable)
		tried = append(tried, next)
	}
	require.Len(t, tried, 1+maxLearnedTries)
}

// dialable is the address of the i-th of many nodes.
func dialable(i int) *types.NetAddress {
	return &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(198, 51, byte(i>>8), byte(i)), Port: 26656}
}

func TestHintsComeLastAndAreForgotten(t *testing.T) {
	ts := newTargets(nil, newLinks())
	first, second, stranger := dialable(1), dialable(2), dialable(3)
	for _, hint := range []*types.NetAddress{first, second} {
		ts.learn(*hint, told, source{})
	}
	ts.learn(*stranger, announced, source{})

	picked := ts.pick("node", nil)
	require.Equal(t, stranger.ID, picked.addr.ID)
	hint := ts.pick("node", []*target{picked})
	require.Equal(t, first.ID, hint.addr.ID)
	ts.release("node", hint, unreachable)
	require.Nil(t, ts.pick("node", []*target{picked, hint}), "one hint for each pair")
	require.Equal(t, second.ID, ts.pick("node", []*target{picked}).addr.ID, "the failed one is forgotten")
}

func TestLearnedTargetsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("own"), newLinks())
		at := func(i int) source { return netip.PrefixFrom(netip.AddrFrom4([4]byte{9, 9, byte(i), 1}), 32) }
		for i := range 3 * maxPerSource {
			ts.learn(*dialable(i), announced, at(0))
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, ts.list, 1+maxPerSource)
		newest := ts.list[len(ts.list)-1]
		for i := range 2 * maxLearned {
			ts.learn(*dialable(i), told, at(i))
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, ts.list, 1+maxLearned)
		require.Contains(t, ts.list, newest, "hints displace hints only")
		for i := range 2 * maxLearned {
			ts.learn(*dialable(i), announced, at(i))
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, ts.list, 1+maxLearned)
		for _, known := range ts.list {
			require.NotEqual(t, told, known.origin, "hints go first")
		}
		require.Equal(t, configured, ts.list[0].origin)

		busy := ts.pick("node", []*target{ts.list[0]})
		for i := range 2 * maxLearned {
			ts.learn(*dialable(i), announced, at(i))
		}
		require.Contains(t, ts.list, busy, "one with a pair stays")
	})
}

func TestWhatIsLearnedOfKnownTargets(t *testing.T) {
	own, stranger := dialable(1), dialable(2)
	ts := newTargets([]*types.NetAddress{own}, newLinks())
	moved := func(addr *types.NetAddress) types.NetAddress {
		return types.NetAddress{ID: addr.ID, IP: addr.IP, Port: addr.Port + 1}
	}
	ts.learn(moved(own), announced, source{})
	require.Len(t, ts.list, 1)
	require.Same(t, own, ts.list[0].addr, "what is configured stays")

	ts.learn(*stranger, announced, source{})
	ts.learn(moved(stranger), told, source{})
	require.Equal(t, stranger.Port, ts.list[1].addr.Port, "others do not move a node")
	first := ts.pick("node", []*target{ts.list[0]})
	ts.release("node", first, unreachable)
	ts.learn(moved(stranger), announced, source{})
	require.Len(t, ts.list, 2)
	require.Equal(t, stranger.Port+1, ts.list[1].addr.Port, "itself it may")
	require.Zero(t, ts.list[1].failures, "the failure was that of the former address")
	ts.release("node", ts.pick("node", []*target{ts.list[0]}), unreachable)
	ts.learn(moved(stranger), announced, source{})
	require.Equal(t, 1, ts.list[1].failures, "to announce the same one is no way out of a penalty")

	hint := dialable(3)
	ts.learn(*hint, told, source{})
	ts.learn(*hint, announced, source{})
	require.Equal(t, announced, ts.list[2].origin)
	require.Equal(t, []*types.NetAddress{own}, ts.addresses(), "others are told of configured ones only")
}

func TestWhoIsToBlameForAFailedAttempt(t *testing.T) {
	running := t.Context()
	replaced, cancel := context.WithCancel(running)
	cancel()
	over, cancel := context.WithTimeout(running, -1)
	defer cancel()
	dead := errors.New("connection refused")
	incompatible := &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}

	require.Equal(t, unreachable, judge(running, dead, 0))
	require.Equal(t, declined, judge(running, incompatible, 0))
	require.Equal(t, faulty, judge(running, incompatible, patience), "who says so late has kept out another")
	require.Equal(t, unreachable, judge(over, context.DeadlineExceeded, patience))
	require.Equal(t, unknown, judge(over, context.DeadlineExceeded, time.Millisecond), "there was no time to answer")
	require.Equal(t, unknown, judge(replaced, dead, patience))
}

// Targets that decline nodes take turns.
func TestTargetsThatRefuseTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("a", "b"), newLinks())
		for _, want := range []string{"a", "b", "a", "b"} {
			picked := ts.pick("node", nil)
			require.EqualValues(t, want, picked.addr.ID)
			ts.release("node", picked, declined)
			task.Sleep(t.Context(), time.Second)
		}
		task.Sleep(t.Context(), failurePenalty)
		require.False(t, ts.list[0].hasDeclined(time.Now()))

		hints := newTargets(nil, newLinks())
		for i := range 3 {
			hints.learn(*dialable(i), told, source{})
		}
		seen := make(map[types.ID]bool)
		for range 3 {
			picked := hints.pick("node", nil)
			hints.release("node", picked, declined)
			seen[picked.addr.ID] = true
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, seen, 3)
	})
}
