package bridge

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// resident is a node that asks for a slot, and how long it has had its pair.
type resident struct {
	ip     string
	libp2p bool
	known  bool
	age    time.Duration
}

// admit takes a slot for a pair of the node, which is up if it has an age.
func (s *slots) admit(r resident) (*pair, error) {
	p := &pair{claim: nativeNode(), gone: make(chan struct{}), ready: make(chan struct{}), stranger: !r.known}
	p.since = time.Now().Add(-r.age)
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	if r.libp2p {
		p.initiator = InitiatorLibp2p
	}
	if r.age > 0 {
		close(p.ready)
	}

	return p, s.take(p, netgroup.Host(netip.MustParseAddr(r.ip)))
}

// fill takes all slots for the nodes.
func (s *slots) fill(t *testing.T, residents ...resident) (pairs []*pair) {
	t.Helper()
	for _, r := range residents {
		p, err := s.admit(r)
		require.NoError(t, err)
		pairs = append(pairs, p)
	}

	return pairs
}

// given returns the indexes of the pairs that have ended because their nodes gave way.
func given(pairs []*pair) (indexes []int) {
	for i, p := range pairs {
		if p.hasGivenWay() {
			indexes = append(indexes, i)
		}
	}

	return indexes
}

func TestWhoGivesWay(t *testing.T) {
	at := func(ip string, age time.Duration) resident { return resident{ip: ip, age: age} }
	known := func(ip string, age time.Duration) resident { return resident{ip: ip, age: age, known: true} }
	libp2p := func(ip string, age time.Duration) resident { return resident{ip: ip, age: age, libp2p: true} }
	for name, c := range map[string]struct {
		residents []resident
		newcomer  resident
		want      []int
	}{
		"the youngest of the crowded network": {
			[]resident{at("9.1.1.1", 3), at("9.1.2.1", 1), at("9.1.3.1", 2), at("7.7.7.7", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"one of the crowded site first": {
			[]resident{at("9.1.1.1", 3), at("9.1.1.2", 2), at("9.1.2.1", 1), at("9.1.3.1", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"a pair that is being made": {
			[]resident{at("9.1.1.1", 3), at("9.1.2.1", 0), at("9.1.3.1", 1), at("9.1.4.1", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"a stranger before a known node": {
			[]resident{known("9.1.1.1", 1), known("9.1.1.2", 1), at("9.1.2.1", 3), known("9.1.3.1", 1)}, resident{ip: "8.8.8.8"}, []int{2},
		},
		"known nodes of a crowded network before a stranger of another": {
			[]resident{known("9.1.1.1", 2), known("9.1.2.1", 1), known("9.1.3.1", 3), at("7.7.7.7", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"a known newcomer is no better": {
			[]resident{at("1.1.1.1", 1), at("2.2.2.2", 1), at("3.3.3.3", 1), at("4.4.4.4", 1)}, resident{ip: "8.8.8.8", known: true}, nil,
		},
		"an exchange that gains nothing": {
			[]resident{at("9.1.1.1", 1), at("9.1.2.1", 1), at("8.8.1.1", 1), at("8.8.2.1", 1)}, resident{ip: "8.8.9.9"}, nil,
		},
		"a private network": {
			[]resident{at("10.0.0.1", 1), at("10.0.0.2", 1), at("10.0.0.3", 1), at("10.0.0.4", 1)}, resident{ip: "10.0.0.5"}, nil,
		},
		"a private network beside a public newcomer": {
			[]resident{at("10.0.0.1", 1), at("10.0.0.2", 1), at("10.0.0.3", 1), at("10.0.0.4", 1)}, resident{ip: "8.8.8.8"}, nil,
		},
		"a stranger whose pair has lasted is no worse": {
			[]resident{at("9.1.1.1", time.Hour), at("9.1.2.1", 2*time.Minute), known("9.1.3.1", 1), at("6.1.1.1", 1)},
			resident{ip: "8.8.8.8"}, []int{2},
		},
		"an IPv6 network": {
			[]resident{at("2600:1:0:1::1", 1), at("2600:1:0:2::1", 2), at("2600:1:0:3::1", 2), at("2600:1:0:4::1", 2)},
			resident{ip: "2a00:1::1"}, []int{0},
		},
		"the quarter that has lasted longest stays": {
			[]resident{at("9.1.1.1", time.Hour), at("9.1.2.1", 1), at("7.1.1.1", 1), at("6.1.1.1", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"and no more than that": {
			[]resident{at("9.1.1.1", time.Hour), at("9.1.2.1", time.Minute), at("9.1.3.1", time.Hour), at("6.1.1.1", 1)},
			resident{ip: "8.8.8.8"}, []int{1},
		},
		"one of the other side, if that has more than its quarter": {
			[]resident{libp2p("9.1.1.1", 2), libp2p("9.1.2.1", 1), at("7.7.7.7", 1), at("6.6.6.6", 1)}, resident{ip: "8.8.8.8"}, []int{1},
		},
		"one of the same side, if that has its share": {
			[]resident{libp2p("9.1.4.1", 1), at("9.1.1.1", 3), at("9.1.2.1", 2), at("9.1.3.1", 3)}, resident{ip: "8.8.8.8"}, []int{2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(4, 4, nil)
				s.share(!slices.ContainsFunc(c.residents, func(r resident) bool { return r.libp2p }))
				pairs := s.fill(t, c.residents...)
				_, err := s.admit(c.newcomer)
				require.Equal(t, c.want == nil, err != nil, "%v", err)
				require.Equal(t, c.want, given(pairs))
				taken, _ := s.usage()
				require.Equal(t, 4, taken)
			})
		})
	}
}

// A host at its own limit has nobody give way, nor a node without a target, and neither configured nor
// unconditional nodes go.
func TestWhoNeverGivesWay(t *testing.T) {
	s := newSlots(3, 1, nil)
	exempt := make(map[types.ID]bool)
	s.exempt, s.perSide = func() map[types.ID]bool { return exempt }, 3
	pairs := s.fill(t, resident{ip: "9.1.1.1"}, resident{ip: "9.1.2.1"}, resident{ip: "8.8.8.8"})
	_, err := s.admit(resident{ip: "8.8.8.8"})
	require.ErrorContains(t, err, "max_pairs_per_ip")
	for _, p := range pairs[:2] {
		exempt[p.id] = true
	}
	_, err = s.admit(resident{ip: "7.7.7.7"})
	require.ErrorContains(t, err, "max_pairs says")
	require.Empty(t, given(pairs))
	exempt = nil
	s.canJoin = func(*pair) bool { return false }
	_, err = s.admit(resident{ip: "7.7.7.7"})
	require.ErrorContains(t, err, "max_pairs says")
	require.Empty(t, given(pairs), "no target takes the newcomer")
	friend := nativeNode()
	s.unconditional = []types.ID{friend.id}
	_, err = s.open(friend, &net.TCPAddr{IP: net.IPv4(7, 7, 7, 7)})
	require.NoError(t, err)
	require.Empty(t, given(pairs), "an unconditional node needs no place")
}

// While a node gives way its slot is the newcomer's, nobody else gives way, and it does not get in
// beside that by dialing again.
func TestOneNodeGivesWayAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(5, 5, nil)
		s.perSide = 5
		pairs := s.fill(t, resident{ip: "9.1.1.1"}, resident{ip: "9.1.2.1"}, resident{ip: "9.1.3.1"}, resident{ip: "9.1.4.1"}, resident{ip: "6.6.6.6"})
		first, err := s.admit(resident{ip: "8.8.8.8"})
		require.NoError(t, err)
		loser := pairs[given(pairs)[0]]
		again := &pair{claim: loser.claim, ctx: loser.ctx}
		require.ErrorIs(t, s.take(again, netip.MustParsePrefix("9.1.1.1/32")), errFull)
		_, err = s.admit(resident{ip: "7.7.7.7"})
		require.ErrorIs(t, err, errFull)

		begun := time.Now()
		first.awaitRoom(t.Context())
		require.Equal(t, loserTimeout, time.Since(begun), "a node that does not go keeps nobody out")
		s.giveBack(loser)
		first.awaitRoom(t.Context())
		require.Equal(t, loserTimeout, time.Since(begun))
		_, err = s.admit(resident{ip: "7.7.7.7"})
		require.NoError(t, err)
		require.Len(t, given(pairs), 2)
	})
}

// Newcomers that leave within a minute, or get no pair, make nobody give way to their network for a
// while, whatever their IDs and hosts, and also if they replace their pairs meanwhile.
func TestNetworkThatTakesSlotsInVainGetsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(8, 8, nil)
		s.perSide = 8
		var crowd []*pair
		refill := func() {
			for len(s.held) < s.total {
				crowd = append(crowd, s.fill(t, resident{ip: "9.1.1.1"})...)
			}
		}
		come := func(ip string) (*pair, error) {
			refill()
			p, err := s.admit(resident{ip: ip})
			for _, c := range crowd {
				if c.hasGivenWay() && !isClosed(c.gone) {
					s.giveBack(c)
				}
			}

			return p, err
		}
		first, err := come("8.8.1.1")
		require.NoError(t, err)
		second := &pair{claim: first.claim, since: time.Now(), ctx: first.ctx, cancel: first.cancel, gone: make(chan struct{})}
		second.ctx, second.cancel = context.WithCancelCause(t.Context())
		require.NoError(t, s.take(second, netip.MustParsePrefix("8.8.1.1/32")))
		s.giveBack(first)
		s.giveBack(second)
		for _, own := range []error{errGaveWay, errMoves, errBlockedPair} {
			p, err := come("8.8.3.1")
			require.NoError(t, err)
			p.end(nil, own)
			s.giveBack(p)
		}
		time.Sleep(conduct.UsefulUptime - time.Second)
		last, err := come("8.8.2.1")
		require.NoError(t, err)
		s.giveBack(last)

		_, err = come("8.8.4.1")
		require.ErrorIs(t, err, errFull)
		_, err = come("7.7.7.7")
		require.NoError(t, err, "another network")
		time.Sleep(conduct.FirstRefusal)
		kept, err := come("8.8.4.1")
		require.NoError(t, err)
		time.Sleep(conduct.UsefulUptime)
		s.giveBack(kept)
		require.NoError(t, s.conduct.Refusal("", netip.MustParsePrefix("8.8.0.0/16")))
	})
}

// Strangers of one site do not hold all pairs of a bridge for ever. The one that gives way is told
// why, and it is held against nobody.
func TestCrowdedSiteGivesWay(t *testing.T) {
	known, target := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	b := newBridgeWith(t, Config{
		Libp2pPeers: addresses(target), OnlyConfigured: true, ProxyNetworks: proxies(), MaxPairs: 4,
	}, func(b *Bridge) {
		b.journal.seen[known.address.ID] = &sighting{entry: entry{known: true, at: time.Now()}}
	})
	behind := func(ip string) types.NetAddress {
		return comingFrom(t, b, net.IPv4(127, 0, 0, 9), "PROXY TCP6 "+ip+" ::1 1 2\r\n")
	}
	var strangers []*node
	for _, ip := range []string{"2600:1:2:1::1", "2600:1:2:2::1", "2600:1:2:3::1"} {
		n := newNode(t, InitiatorNative)
		n.join(t, behind(ip))
		strangers = append(strangers, n)
	}
	known.join(t, behind("2600:1:2:4::1"))
	awaitPairs(t, b, 4)
	require.False(t, newNode(t, InitiatorNative).comes(t, behind("2600:1:2:5::1")), "its network is no less crowded")

	newcomer := newNode(t, InitiatorNative)
	newcomer.join(t, behind("2a00:1::1"))
	next(t, strangers[2].removed)
	awaitPairs(t, b, 4)
	require.Len(t, known.sw.Peers().List(), 1)
	require.Len(t, strangers[1].sw.Peers().List(), 1)

	require.True(t, b.slots.exempt()[target.address.ID], "a configured node stays")
	var s Status
	require.Eventually(t, func() bool { // the end may be told after the newcomer has its pair
		s = b.Status()

		return slices.ContainsFunc(s.Events, func(e Event) bool { return e.Kind == EventPairEnded && e.Text == errGaveWay.Error() })
	}, testTimeout, time.Millisecond)
	late := newcomer.late // their pairs may have been up
	for _, n := range append(strangers, known) {
		late += n.late
	}
	require.Positive(t, sum(s.Counters.PairsEnded, func(c Count) bool { return c.Side == byBridge && !c.Known }))
	require.LessOrEqual(t, sum(s.Counters.PairsEnded, func(Count) bool { return true }), 1+late)
	require.Equal(t, TargetPaired, s.Targets[0].State)
	require.NoError(t, b.gate.judge(strangers[2].address.ID, netip.MustParsePrefix("2600:1:2:3::/64")))
	reason, cure := explain(errGaveWay)
	require.Equal(t, "gave way", reason)
	require.Contains(t, cure, "max_pairs")
	require.Equal(t, compat.RejectFull, b.refusal(errGaveWay).Code)
}
