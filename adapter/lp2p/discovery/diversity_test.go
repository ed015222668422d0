package discovery

import (
	"net/netip"
	"testing"

	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// groupTable is the filter as the routing table uses it: of so many peers, each at
// the place that is given, it returns whom it has let in.
type groupTable struct {
	*peerdiversity.Filter
	ips map[peer.ID][]netip.Addr
}

func newGroupTable(t *testing.T, d *Discovery, distance func(peer.ID) int) *groupTable {
	t.Helper()
	g := &groupTable{ips: make(map[peer.ID][]netip.Addr)}
	ips := func(p peer.ID) []netip.Addr { return g.ips[p] }
	var err error
	g.Filter, err = peerdiversity.NewFilter(newIPGroups(ips, d.hostOf, d.isFreeOfGroups), "test", distance)
	require.NoError(t, err)

	return g
}

func (g *groupTable) add(p peer.ID, ips ...string) bool {
	for _, place := range ips {
		g.ips[p] = append(g.ips[p], netip.MustParseAddr(place))
	}

	return g.TryAdd(p)
}

// believing is a Discovery that believes private addresses, or does not, and lets
// many peers share an IP, or does not.
func believing(private, duplicates bool) *Discovery {
	d := &Discovery{
		opts: &options{allowDuplicateIP: duplicates}, ids: p2paddr.NewIDs(maxIDs), configured: make(map[types.ID]bool),
	}
	d.filter.private.Store(private)

	return d
}

// One network fills no more than half of a bucket, and leaves others their place.
func TestGroupsOfIPsAreBounded(t *testing.T) {
	distance := 0
	g := newGroupTable(t, believing(false, false), func(peer.ID) int { return distance })
	for i := range bucketSize {
		require.Equal(t, i < maxGroupMembers, g.add(somePeer(t, i), netip.AddrFrom4([4]byte{5, 6, byte(i), 1}).String()), i)
	}
	require.True(t, g.add(somePeer(t, 100), "5.7.0.1"), "another network")
	require.False(t, g.add(somePeer(t, 101), "5.7.0.1", "5.6.0.1"), "also from this one")
	require.True(t, g.add(somePeer(t, 102)), "nobody knows where")
	distance = 1
	require.True(t, g.add(somePeer(t, 103), "5.6.0.2"), "another bucket")

	distance = 0
	g.Remove(somePeer(t, 0))
	require.True(t, g.add(somePeer(t, 104), "5.6.0.3"), "there is room again")
	require.False(t, g.add(somePeer(t, 105), "5.6.0.4"))
}

// One host has few members in the whole table, unless many nodes may share an IP.
func TestHostsAreBounded(t *testing.T) {
	for _, duplicates := range []bool{false, true} {
		distance := 0
		g := newGroupTable(t, believing(false, duplicates), func(peer.ID) int { return distance })
		for i := range 8 {
			distance = i % 4
			allowed := duplicates || i < maxPerHost
			require.Equal(t, allowed, g.add(somePeer(t, i), "5.6.7.8"), i)
			require.Equal(t, allowed, g.add(somePeer(t, 100+i), netip.MustParseAddr("2a00::").Next().String()), i)
		}
		distance = 0
		require.True(t, g.add(somePeer(t, 50), "5.6.7.9"))
		g.Remove(somePeer(t, 0))
		require.True(t, g.add(somePeer(t, 51), "5.6.7.8"))
		require.Equal(t, duplicates, g.add(somePeer(t, 52), "5.6.7.8"))
	}
}

// Private networks, and peers that are configured, are not bounded.
func TestUnboundedIPs(t *testing.T) {
	seed := somePeer(t, 99)
	for believed, name := range map[bool]string{true: "believed", false: "not believed"} {
		d := believing(believed, false)
		id, err := d.ids.Of(seed)
		require.NoError(t, err)
		d.configured[id] = true
		g := newGroupTable(t, d, func(peer.ID) int { return 0 })
		for i := range bucketSize {
			require.Equal(t, believed || i < maxPerHost, g.add(somePeer(t, i), "10.0.0.1"), "%s %d", name, i)
			require.Equal(t, i < maxPerHost, g.add(somePeer(t, 200+i), "5.6.0.1"), "%s %d", name, i)
		}
		require.True(t, g.add(seed, "5.6.0.1"), name)
	}
}
