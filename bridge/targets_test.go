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

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// idsOf returns configured targets, each at a host name.
func idsOf(names ...string) []*types.NetAddress {
	var addrs []*types.NetAddress
	for _, name := range names {
		addrs = append(addrs, &types.NetAddress{ID: types.ID(name), Hostname: name})
	}

	return addrs
}

// the is a node that dials the bridge.
func the(id types.ID) dialer { return dialer{id: id} }

func unused() *inUse { return &inUse{list: make(map[*target]dialer)} }

// targetsWithBook returns targets that are learned, too.
func targetsWithBook(t *testing.T, configured ...*types.NetAddress) *targets {
	t.Helper()
	book, err := Config{Libp2pPeers: configured}.addrBook(types.GenerateNodeKey().ID(), quiet())
	require.NoError(t, err)

	return newTargets(configured, book, unused())
}

// announce makes a target of a node that dials the bridge from the IP.
func (ts *targets) announce(addr types.NetAddress, from net.IP) {
	isNew := ts.book.Add(addrbook.Source{ID: addr.ID, IP: from}, &addr) > 0
	ts.appeared(addr.ID, isNew, false)
}

// tell makes hints of addresses that a node names.
func (ts *targets) tell(from net.IP, addrs ...*types.NetAddress) {
	ts.book.Add(addrbook.Source{ID: types.GenerateNodeKey().ID(), IP: from}, addrs...)
}

// after ends an attempt at the target, of which the transport and the search tell the book.
func (ts *targets) after(t *target, o outcome) {
	switch {
	case o == unreachable:
		ts.book.MarkFailed(&t.addr)
	case o != unknown:
		ts.book.MarkAnswered(&t.addr, types.StackLibp2p)
	}
	ts.release(t, o)
}

// known returns the IDs of the targets.
func (ts *targets) known() (ids []types.ID) {
	for _, t := range ts.all(dialer{}) {
		ids = append(ids, t.addr.ID)
	}

	return ids
}

// A node that speaks both protocols is not its own peer.
func TestNodeIsNotPairedWithItself(t *testing.T) {
	ts := newTargets(idsOf("a"), nil, unused())
	require.Nil(t, ts.pick(the("a"), nil))
	require.NotNil(t, ts.pick(the("b"), nil))

	key := types.GenerateNodeKey()
	modern, other := newNodeOf(t, InitiatorLibp2p, key), newNode(t, InitiatorLibp2p)
	native := newNodeOf(t, InitiatorNative, key)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern, other)})
	native.join(t, b.NativeAddress())
	other.met(t)
}

// However many targets are dead, the live one is found by a node that asks as often
// as nodes do.
func TestManyDeadTargetsDoNotStarveTheLiveOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := make([]*types.NetAddress, 0, 21)
		for i := range 20 {
			addrs = append(addrs, idsOf(fmt.Sprint("dead", i))...)
		}
		ts := newTargets(append(addrs, idsOf("live")...), nil, unused())
		for round := range 100 {
			var tried []*target
			for range 2 { // there is time for two silent ones
				picked := ts.pick(the("node"), tried)
				if picked.addr.ID == "live" {
					require.LessOrEqual(t, round, 20, "at least one of those that were not tried yet in each round")

					return
				}
				ts.release(picked, unreachable)
				tried = append(tried, picked)
			}
			task.Sleep(t.Context(), 10*time.Second)
		}
		require.Fail(t, "never found")
	})
}

func TestPenaltyGrowsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest = failurePenalty << (maxFailures - 1)
		ts := newTargets(idsOf("a"), nil, unused())
		down := func() bool { return ts.records["a"].isDown() }
		fail := func() { ts.release(ts.pick(the("node"), nil), unreachable) }
		for _, penalty := range []time.Duration{failurePenalty, 2 * failurePenalty, 4 * failurePenalty} {
			fail()
			task.Sleep(t.Context(), penalty-1)
			require.True(t, down())
			task.Sleep(t.Context(), 1)
			require.False(t, down())
		}
		for range 100 {
			fail()
		}
		require.Equal(t, 16*time.Minute, longest)
		task.Sleep(t.Context(), longest-1)
		require.True(t, down())
		task.Sleep(t.Context(), 1)
		require.False(t, down())
		fail()
		ts.release(ts.pick(the("node"), nil), kept)
		require.False(t, down())
		require.Empty(t, ts.inUse.list)
	})
}

// Many nodes that dial at once while the bridge is slow are one failure of each target, and try
// all of them again. The first answer ends the penalties of all.
func TestSlowBridgeExcludesNoTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("a", "b"), nil, unused())
		all := func(try int) (picked []*target) {
			for i := range 6 {
				picked = append(picked, ts.pick(the(types.ID(fmt.Sprint("node", i, try))), nil))
			}
			n := 0
			for _, p := range picked {
				n += int(bit(p.addr.ID == "a"))
			}
			require.Equal(t, 3, n, "the targets share the attempts")

			return picked
		}
		first := all(0)
		task.Sleep(t.Context(), pairTimeout)
		for _, picked := range first {
			ts.release(picked, unreachable)
			task.Sleep(t.Context(), time.Millisecond)
		}
		for _, id := range []types.ID{"a", "b"} {
			require.True(t, ts.records[id].isDown())
			require.Equal(t, 1, ts.records[id].failures, "they ran at the same time")
		}

		second := all(1)
		task.Sleep(t.Context(), time.Second)
		ts.appeared(second[0].addr.ID, false, false)
		for _, id := range []types.ID{"a", "b"} {
			require.False(t, ts.records[id].isTroubled())
		}
		task.Sleep(t.Context(), time.Second)
		for _, picked := range second[1:] {
			if picked.addr.ID == second[0].addr.ID {
				ts.release(picked, unreachable)
				require.False(t, ts.records[picked.addr.ID].isTroubled(), "it has answered another node meanwhile")

				continue
			}
			ts.release(picked, unknown)
		}
		require.NotEqual(t, second[0].addr.ID, ts.pick(the("last"), nil).addr.ID, "the other one has fewer pairs")
	})
}

// One target that answers is up, which says nothing of another that is down alone.
func TestAnswerEndsThePenaltyOfItsTarget(t *testing.T) {
	ts := newTargets(idsOf("a", "b", "c"), nil, unused())
	a := ts.pick(the("node"), nil)
	ts.release(a, unreachable)
	b := ts.pick(the("node"), nil)
	ts.release(b, unreachable)
	ts.appeared(a.addr.ID, false, false)
	require.False(t, ts.records["a"].isDown())
	require.True(t, ts.records["b"].isDown())
}

// Learned targets come after configured ones, however many there are: even a configured one
// that is down is tried after the first learned one.
func TestStrangersDoNotKeepOutConfiguredTargets(t *testing.T) {
	ts := targetsWithBook(t, idsOf("own")...)
	for i := range maxLearned {
		ts.announce(*dialable(i), nil)
	}
	own := ts.pick(the("node"), nil)
	require.EqualValues(t, "own", own.addr.ID)
	ts.after(own, unreachable)

	stranger := ts.pick(the("node"), nil)
	require.NotNil(t, stranger)
	require.False(t, stranger.configured || stranger.told, "a stranger who is there is better than nobody")
	ts.after(stranger, unreachable)
	again := ts.pick(the("node"), []*target{stranger})
	require.EqualValues(t, "own", again.addr.ID)
	ts.after(again, unreachable)

	tried := []*target{own, stranger}
	for next := ts.pick(the("node"), tried); next != nil; next = ts.pick(the("node"), tried) {
		ts.after(next, unreachable)
		tried = append(tried, next)
	}
	require.Len(t, tried, 1+maxLearnedTries)
}

// dialable is the address of the i-th of many nodes, each in a network of its own.
func dialable(i int) *types.NetAddress {
	return &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(byte(20+i>>8), byte(i), 1, 1), Port: 26656}
}

func TestHintsComeLastAndAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := targetsWithBook(t)
		first, second, stranger := dialable(1), dialable(2), dialable(3)
		ts.tell(nil, second)
		task.Sleep(t.Context(), time.Second)
		ts.tell(nil, first)
		ts.announce(*stranger, nil)

		picked := ts.pick(the("node"), nil)
		require.Equal(t, stranger.ID, picked.addr.ID)
		hint := ts.pick(the("node"), []*target{picked})
		require.Equal(t, first.ID, hint.addr.ID)
		ts.after(hint, unreachable)
		require.Nil(t, ts.pick(the("node"), []*target{picked, hint}), "one hint for each pair")
		other := ts.pick(the("node"), []*target{picked})
		require.Equal(t, second.ID, other.addr.ID)
		ts.after(other, unreachable)
		require.Nil(t, ts.pick(the("node"), []*target{picked}), "the failed ones are not tried")
		ts.tell(nil, first)
		require.Nil(t, ts.pick(the("node"), []*target{picked}), "not if they are told again either")
	})
}

func TestLearnedTargetsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := targetsWithBook(t, idsOf("own")...)
		at := func(i int) net.IP { return net.IPv4(byte(9+i>>8), byte(i), 9, 9) } // each in another network
		var newest *types.NetAddress
		for i := range 3 * maxPerSource {
			newest = dialable(i)
			ts.announce(*newest, at(0))
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, ts.known(), 1+maxPerSource)
		for i := range 2 * maxLearned {
			ts.tell(at(i), dialable(i))
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, ts.known(), 1+maxLearned+1)
		require.Contains(t, ts.known(), newest.ID, "hints displace hints only")
		for i := range 2 * maxLearned {
			ts.announce(*dialable(i), at(i))
			task.Sleep(t.Context(), time.Second)
		}
		all := ts.all(dialer{})
		require.Len(t, all, 1+maxLearned+1)
		for _, known := range all {
			require.False(t, known.told, "hints go first")
		}
		require.True(t, all[0].configured)

		busy := ts.pick(the("node"), all[:1])
		for i := range 2 * maxLearned {
			task.Sleep(t.Context(), time.Second)
			ts.announce(*dialable(i), at(i))
		}
		require.Contains(t, ts.known(), busy.addr.ID, "one that is dialed, or has a pair, stays")
		require.Len(t, ts.known(), 1+maxLearned+2)
		ts.release(busy, unknown)
		require.NotContains(t, ts.known(), busy.addr.ID)
	})
}

// What the bridge remembers beside its book is bounded by the book.
func TestRecordsAreThoseOfTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := targetsWithBook(t)
		for i := range 4 * maxLearned {
			ts.announce(*dialable(i), nil)
			picked := ts.pick(the("node"), nil)
			require.NotNil(t, picked)
			ts.after(picked, unreachable)
			task.Sleep(t.Context(), time.Second)
		}
		require.LessOrEqual(t, len(ts.records), maxLearned+1)
	})
}

// A dial that has begun before the target was heard of says nothing new when it fails.
func TestLateFailureIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := targetsWithBook(t)
		ts.announce(*dialable(1), nil)
		slow := ts.pick(the("node"), nil)
		task.Sleep(t.Context(), time.Second)
		quick := ts.pick(the("another"), nil)
		require.Equal(t, slow.addr.ID, quick.addr.ID)
		ts.appeared(quick.addr.ID, false, false)
		task.Sleep(t.Context(), time.Second)
		require.False(t, ts.release(slow, unreachable))
		require.False(t, ts.records[slow.addr.ID].isDown())
		require.True(t, ts.release(quick, unreachable))
		require.True(t, ts.records[slow.addr.ID].isDown())
	})
}

// A dial that lost to another target keeps no other node of the host from its own.
func TestDialThatHasLostBarsNobody(t *testing.T) {
	ts, host := newTargets(idsOf("slow", "quick"), nil, unused()), netip.MustParsePrefix("9.9.0.1/32")
	first, second := dialer{id: "first", host: host}, dialer{id: "second", host: host}
	slow := ts.pick(first, nil)
	quick := ts.pick(first, []*target{slow})
	require.Nil(t, ts.pick(second, nil))
	ts.lose([]*target{slow, quick}, quick)
	require.Equal(t, slow.addr.ID, ts.pick(second, nil).addr.ID)
}

func TestWhatIsLearnedOfKnownTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, stranger := dialable(1), dialable(2)
		ts := targetsWithBook(t, own)
		moved := func(addr *types.NetAddress) types.NetAddress {
			return types.NetAddress{ID: addr.ID, IP: addr.IP, Port: addr.Port + 1}
		}
		ts.announce(moved(own), nil)
		require.Len(t, ts.known(), 1)
		require.Equal(t, *own, ts.all(dialer{})[0].addr, "what is configured stays")

		ts.announce(*stranger, nil)
		task.Sleep(t.Context(), time.Second)
		elsewhere := moved(stranger)
		ts.tell(nil, &elsewhere)
		require.Equal(t, stranger.Port, ts.all(dialer{})[1].addr.Port, "others do not move a node")
		ts.after(ts.pick(the("node"), ts.all(dialer{})[:1]), unreachable)
		ts.announce(*stranger, nil)
		require.True(t, ts.all(dialer{})[1].isDown(), "to announce the same one is no way out of a penalty")
		task.Sleep(t.Context(), time.Second)
		elsewhere.Port++
		ts.announce(elsewhere, nil)
		require.Equal(t, elsewhere, ts.all(dialer{})[1].addr, "itself it may")
		require.False(t, ts.all(dialer{})[1].isDown(), "the failure was that of the former address")

		hint := dialable(3)
		ts.tell(nil, hint)
		require.True(t, ts.all(dialer{})[2].told)
		task.Sleep(t.Context(), time.Second)
		ts.announce(*hint, nil)
		require.Equal(t, hint.ID, ts.all(dialer{})[1].addr.ID)
		require.False(t, ts.all(dialer{})[1].told)
	})
}

func TestWhoIsToBlameForAFailedAttempt(t *testing.T) {
	running := t.Context()
	replaced, cancel := context.WithCancel(running)
	cancel()
	dead := errors.New("connection refused")
	incompatible := &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}

	require.Equal(t, unreachable, judge(running, dead))
	require.Equal(t, unreachable, judge(running, context.DeadlineExceeded))
	require.Equal(t, declined, judge(running, incompatible))
	require.Equal(t, unknown, judge(running, context.Canceled))
	require.Equal(t, unknown, judge(replaced, dead), "the pair has ended, and with it the dial")
}

// Targets that decline nodes take turns.
func TestTargetsThatRefuseTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTargets(idsOf("a", "b"), nil, unused())
		for _, want := range []string{"a", "b", "a", "b"} {
			picked := ts.pick(the("node"), nil)
			require.EqualValues(t, want, picked.addr.ID)
			ts.release(picked, declined)
			task.Sleep(t.Context(), time.Second)
		}
		task.Sleep(t.Context(), failurePenalty)
		require.False(t, ts.all(dialer{})[0].isTroubled())

		hints := targetsWithBook(t)
		for i := range 3 {
			hints.tell(nil, dialable(i))
		}
		seen := make(map[types.ID]bool)
		for range 3 {
			picked := hints.pick(the("node"), nil)
			hints.release(picked, declined) // before it has proved its ID
			seen[picked.addr.ID] = true
			task.Sleep(t.Context(), time.Second)
		}
		require.Len(t, seen, 3)
	})
}
