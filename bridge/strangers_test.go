package bridge

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var (
	here  = net.IPv4(9, 9, 0, 1)
	there = net.IPv4(8, 8, 0, 9)
)

// one returns targets with one that has dialed the bridge from there.
func one(t *testing.T) (ts *targets, known *types.NetAddress) {
	t.Helper()
	ts, known = targetsWithBook(t), dialable(9999)
	ts.announce(*known, there)
	require.Equal(t, []types.ID{known.ID}, ts.known())

	return ts, known
}

// searchPast reports whether a node that all targets refuse is brought to this one.
func (ts *targets) searchPast(node types.ID, want types.ID) bool {
	var tried []*target
	for t := ts.pick(the(node), nil); t != nil; t = ts.pick(the(node), tried) {
		ts.after(t, declined)
		if t.addr.ID == want {
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
	for name, before := range map[string]func(*targets){
		"worked":    func(ts *targets) { ts.after(ts.pick(the("x"), nil), kept) },
		"busy":      func(ts *targets) { ts.pick(the("x"), nil) },
		"refused":   func(ts *targets) { ts.after(ts.pick(the("x"), nil), declined) },
		"not tried": func(*targets) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ts, honest := one(t)
				before(ts)
				for round := range 20 {
					for i := range maxPerSource {
						ts.announce(*dialable(round*maxPerSource + i), here)
					}
					require.True(t, ts.searchPast("victim", honest.ID), "round %d", round)
					task.Sleep(t.Context(), 5*time.Second)
				}
			})
		})
	}
}

// Of learned targets on private networks, one that has kept a pair is tried first.
func TestProvenTargetGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, fresh, honest := targetsWithBook(t), dialable(1), dialable(2)
		ts.announce(*honest, nil)
		task.Sleep(t.Context(), time.Second)
		ts.announce(*fresh, nil)
		first := ts.pick(the("other"), nil)
		require.Equal(t, fresh.ID, first.addr.ID)
		second := ts.pick(the("other"), []*target{first})
		require.Equal(t, honest.ID, second.addr.ID)
		ts.pick(the("another"), []*target{first})
		ts.after(second, kept)
		ts.release(first, unknown)
		picked := ts.pick(the("node"), nil)
		require.Equal(t, honest.ID, picked.addr.ID, "though the other has no pair")

		ts.after(picked, unreachable)
		require.False(t, ts.records[honest.ID].proven)
		require.Equal(t, fresh.ID, ts.pick(the("node"), nil).addr.ID)
	})
}

// Learned targets that have kept a pair, and from then on end each one a moment after it no longer counts
// as gone at once, get one pair each. Then nodes stay with an honest target, though that has more pairs. The
// host of two such nodes does not pay for what the targets do.
func TestTargetsThatDropTheirNodesDrawNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil, rounds = 24, 40
		b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
		require.NoError(t, err)
		defer b.refused.Close()
		ts, honest := b.libp2pTargets, dialable(0)
		proves := func(addr *types.NetAddress) {
			ts.announce(*addr, addr.IP)
			ts.records[addr.ID] = record{}.after(kept, false)
		}
		proves(honest)
		for range 2 {
			ts.pick(the("another"), nil) // and keeps it
		}
		for i := range evil {
			proves(dialable(1 + i))
		}
		helped := 0
		for range rounds {
			var pairs []*pair
			for _, id := range []types.ID{"first", "second"} {
				require.NoError(t, b.gate.AdmitConn(here), "its host is refused")
				p := b.newPair(InitiatorNative)
				p.id, p.from = id, netgroup.Host(netgroup.FromIP(here))
				p.target = ts.pick(p.dialer(), nil)
				close(p.ready)
				pairs = append(pairs, p)
			}
			time.Sleep(minUptime + time.Second)
			for _, p := range pairs {
				by := p.dialed
				if p.target.addr.ID == honest.ID {
					helped++
					by = nil // its pairs end as well, so that the next search shows who is preferred
				}
				p.end(by, errors.New("gone"))
				b.gate.ended(p)
				p.release()
			}
		}
		require.Equal(t, 2*rounds-evil, helped)
	})
}

// Of the targets that are down, configured ones are tried first, too.
func TestConfiguredTargetsThatAreDownGoBeforeStrangersThatAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := targetsWithBook(t, idsOf("own")...)
		ts.announce(*dialable(1), nil)
		stranger := ts.pick(the("node"), ts.all(dialer{})[:1])
		ts.after(stranger, unreachable)
		task.Sleep(t.Context(), time.Second)
		for range 2 { // the second time it has failed later
			own := ts.pick(the("node"), nil)
			require.EqualValues(t, "own", own.addr.ID)
			ts.after(own, unreachable)
		}
	})
}

// A known target that dials the bridge again keeps its record and its pairs.
func TestWhoDialsAnewKeepsItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, known := one(t)
		busy := ts.pick(the("node"), nil)
		task.Sleep(t.Context(), time.Second)
		moved := *known
		moved.Port++
		ts.announce(moved, there)
		now := ts.all(dialer{})
		require.Len(t, now, 1)
		require.Equal(t, moved, now[0].addr)
		require.Equal(t, 1, now[0].pairs)
		require.Nil(t, ts.pick(the("other"), now), "it is the one that was tried")
		ts.after(busy, faulty)
		require.True(t, ts.records[known.ID].isDown(), "to accept and to drop is a failure")

		ts.after(ts.pick(the("node"), nil), declined)
		moved.Port++
		ts.announce(moved, here)
		require.Equal(t, []types.ID{known.ID}, ts.known())
		require.True(t, ts.records[known.ID].isTroubled())
	})
}

// A target that moves to a source without room keeps its former address.
func TestWhoFindsNoRoomStaysWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, known := one(t)
		for i := range maxPerSource {
			ts.announce(*dialable(i), here)
		}
		moved := *known
		moved.Port++
		ts.announce(moved, here)
		var at []types.NetAddress
		for _, e := range ts.book.Of(known.ID) {
			at = append(at, e.Addr)
		}
		require.Contains(t, at, *known)
	})
}

// A hint that has failed, and whose node then dials the bridge, is not tried twice in a search.
func TestForgottenTargetIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, hint := targetsWithBook(t), dialable(1)
		ts.tell(there, hint)
		picked := ts.pick(the("node"), nil)
		ts.after(picked, unreachable)
		require.Nil(t, ts.pick(the("another"), nil))
		moved := *hint
		moved.Port++
		ts.announce(moved, there)
		require.Nil(t, ts.pick(the("node"), []*target{picked}))
		require.Equal(t, moved, ts.pick(the("node"), nil).addr)
	})
}

// Many IDs do not make the bridge dial one address many times: the one that dials the bridge
// from there is tried first, and no other in the same search. When another has answered, its
// address is not taken from it.
func TestOneDialForEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, victim := dialable(2), dialable(1)
		ts := targetsWithBook(t, own)
		as := func(addr *types.NetAddress) *types.NetAddress {
			other := *addr
			other.ID = types.GenerateNodeKey().ID()

			return &other
		}
		dialed := func(node types.ID) (ids []types.ID) {
			var tried []*target
			for next := ts.pick(the(node), nil); next != nil; next = ts.pick(the(node), tried) {
				if next.addr.DialString() == victim.DialString() {
					ids = append(ids, next.addr.ID)
				}
				require.False(t, !next.configured && next.addr.DialString() == own.DialString())
				ts.release(next, unreachable)
				ts.book.MarkFailed(&next.addr)
				tried = append(tried, next)
			}
			task.Sleep(t.Context(), time.Second)

			return ids
		}
		for range maxPerSource {
			ts.announce(*as(victim), here)
			ts.announce(*as(own), here)
			ts.tell(here, as(victim), as(own))
		}
		total := 0
		for node := range 10 {
			ids := dialed(types.ID(rune('a' + node)))
			require.LessOrEqual(t, len(ids), 1)
			total += len(ids)
		}
		require.LessOrEqual(t, total, 3)

		task.Sleep(t.Context(), 10*time.Minute) // of which the failures are remembered
		ts.announce(*victim, victim.IP)
		task.Sleep(t.Context(), time.Second)
		ts.announce(*as(victim), here)
		require.Equal(t, []types.ID{victim.ID}, dialed("node"), "who is there comes first")

		task.Sleep(t.Context(), 10*time.Minute)
		anew := as(victim)
		ts.announce(*anew, victim.IP)
		task.Sleep(t.Context(), time.Second)
		require.Equal(t, []types.ID{anew.ID}, dialed("node"), "a node that was set up anew")
		ts.book.MarkAnswered(anew, types.StackLibp2p)
		before := ts.known()
		ts.announce(*as(victim), victim.IP)
		require.Equal(t, before, ts.known(), "one that has answered stays")
	})
}

// Learned targets of many sources do not displace one that has kept a pair.
func TestProvenTargetIsNotPushedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, honest := one(t)
		ts.after(ts.pick(the("node"), nil), kept)
		task.Sleep(t.Context(), time.Second)
		for i := range 2 * maxLearned {
			ts.announce(*dialable(i), net.IPv4(9, byte(i/maxPerSource), 1, 1))
		}
		require.Len(t, ts.known(), maxLearned)
		require.Contains(t, ts.known(), honest.ID)
	})
}

// Nodes that dial the bridge do not end the search in the DHT, nor do found ones that decline
// all nodes, and a found one that becomes useless starts it again.
func TestStrangersDoNotEndTheSearchInTheDHT(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	ts, lost := b.libp2pTargets, 0
	ts.lost = func() { lost++ }
	var found []*types.NetAddress
	for i := range maxFound {
		found = append(found, dialable(i))
		ts.announce(*found[i], nil)
	}
	require.Zero(t, b.useful())
	dhtClient{b}.DialPeers(found...)
	require.EqualValues(t, maxFound, b.useful())

	ts.after(ts.pick(the("node"), nil), declined)
	require.EqualValues(t, maxFound-1, b.useful())
	require.Equal(t, 1, lost)
	ts.after(ts.pick(the("node"), nil), unreachable)
	require.EqualValues(t, maxFound-2, b.useful())
	require.Equal(t, 2, lost)

	third := ts.pick(the("node"), nil)
	ts.after(third, kept)
	ts.after(third, declined)
	require.EqualValues(t, maxFound-2, b.useful(), "one that has worked may refuse a node")
	require.Equal(t, 2, lost)
}
