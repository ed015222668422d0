package crawl

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func at(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// One host is visited once at a time, and at a bounded number of its addresses.
func TestTargets(t *testing.T) {
	q := newTargets(1000)
	for port := uint16(1); port <= maxPerHost; port++ {
		require.True(t, q.add(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), "", false))
	}
	require.False(t, q.add(at("192.0.2.1:1000"), "", false))
	require.True(t, q.add(at("192.0.2.1:1001"), "", true), "a seed")
	require.True(t, q.add(at("[2001:db8::1]:1"), "", false))
	require.True(t, q.add(at("[2001:db8::2]:1"), "", false), "the same /64")

	all := func(*target) bool { return true }
	first := q.next(all)
	require.Equal(t, at("192.0.2.1:1"), first.at)
	second := q.next(all)
	require.Equal(t, at("[2001:db8::1]:1"), second.at)
	require.Nil(t, q.next(all))
	q.done(second)
	require.Equal(t, at("[2001:db8::2]:1"), q.next(all).at)
	q.done(first)
	require.Equal(t, at("192.0.2.1:3"), q.next(func(t *target) bool { return t.at != at("192.0.2.1:2") }).at)
}

func TestClaimsAreBounded(t *testing.T) {
	q := newTargets(1)
	for _, id := range []string{"a", "b", "a", "c", "d", "e", "f", "g", "h", "i", "j"} {
		require.True(t, q.add(at("192.0.2.1:1"), types.ID(id), false))
	}
	require.Len(t, q.waiting, 1)
	require.Len(t, q.waiting[0].claims, maxClaims)
	require.False(t, q.add(at("192.0.2.2:1"), "", false))
}

// An address that was passed over has its turn again when another node is said to be there, also when more
// are said to be there than are kept.
func TestPassedOver(t *testing.T) {
	q, a := newTargets(1), at("192.0.2.1:1")
	none, all := func(*target) bool { return false }, func(*target) bool { return true }
	for _, id := range []types.ID{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		require.True(t, q.add(a, id, false))
		require.Len(t, q.waiting, 1, id)
		require.Nil(t, q.next(none))
		require.True(t, q.add(a, "a", false))
		require.Empty(t, q.waiting, "nobody new is said to be there")
	}
	require.True(t, q.byAddress[a].crowded)
	q.add(a, "k", false)
	require.NotNil(t, q.next(all))
	q.add(a, "l", false)
	require.Nil(t, q.next(all), "it was visited")
}

// An address is left alone for a time that grows, until it answers.
func TestMemoryRests(t *testing.T) {
	var m Memory
	now, a := time.Now(), at("192.0.2.1:1")
	require.False(t, m.resting(a, now))
	for _, pause := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause} {
		m.note(a, false, now)
		require.True(t, m.resting(a, now.Add(pause-1)))
		now = now.Add(pause)
		require.False(t, m.resting(a, now))
	}
	for range 20 {
		m.note(a, false, now)
	}
	require.False(t, m.resting(a, now.Add(maxPause)))
	m.note(a, true, now)
	require.False(t, m.resting(a, now))
	require.Empty(t, m.failed)
}

// What strangers choose is counted under a bounded number of names, and kept short.
func TestTextsAreBounded(t *testing.T) {
	kinds := make(map[string]int)
	for i := range 100 {
		kinds[string(rune('a'+i))] = i + 1
	}
	common := commonest(kinds)
	require.Len(t, common, maxKinds+1)
	require.Equal(t, 80*81/2, common[Others])
	require.Equal(t, "ä", clip("ää", 3))
	require.Equal(t, "\uFFFD", clip("\xff", 3))
	require.Equal(t, "abc", clip("abc", 3))
	n := &Node{}
	for i := range 20 {
		n.addAddress(string(rune('a'+i)), false)
	}
	n.addAddress("c", true)
	n.addAddress("z", true)
	require.Equal(t, []string{"z", "c", "a", "b", "d", "e", "f", "g"}, n.Addresses)
}
