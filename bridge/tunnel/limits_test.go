package tunnel

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// The tunnels of a target are bounded, in all and by host, and nobody from a blocked IP has one.
// Those from a crowded network give way as long as their nodes may have proved no ID.
func TestTunnelsAreBounded(t *testing.T) {
	blocked := netip.MustParseAddr("51.0.0.1")
	s := &Server{
		config: Config{Blocks: func(_ types.ID, ip netip.Addr) bool { return ip == blocked }},
		places: map[types.ID]*places.Places{"a": newPlaces(), "b": newPlaces()},
		out:    make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	evicted := 0
	take := func(target types.ID, ip netip.Addr) (*places.Place, func(), error) {
		return s.take(target, ip, func() { evicted++ })
	}
	_, _, err := take("a", blocked)
	require.ErrorIs(t, err, errBlocked)
	var taken []*places.Place
	var releases []func()
	for i := range maxTunnels - reserved {
		p, release, err := take("a", netip.AddrFrom4([4]byte{52, 0, byte(i / maxPerHost), 1}))
		require.NoError(t, err)
		taken, releases = append(taken, p), append(releases, release)
	}
	_, _, err = take("a", netip.AddrFrom4([4]byte{52, 0, 1, 1}))
	require.ErrorIs(t, err, errCrowded)
	require.Zero(t, evicted)
	_, release, err := take("a", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	require.Equal(t, 1, evicted, "one of the flood")
	release()
	_, _, err = take("a", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	for _, p := range taken {
		p.Settle()
	}
	_, _, err = take("a", netip.MustParseAddr("54.0.0.1"))
	require.NoError(t, err)
	require.Equal(t, 2, evicted, "the only one that is not settled")
	_, _, err = take("b", netip.MustParseAddr("53.0.0.1"))
	require.NoError(t, err)
	for _, release := range releases {
		release()
	}
	require.Len(t, s.hosts, 3)
	for range maxTunnels {
		require.True(t, s.takeOut("a"))
	}
	require.False(t, s.takeOut("a"))
	s.releaseOut("a")
	require.True(t, s.takeOut("a"))
}

// Hosts of configured nodes have places apart, and those of all others when these are taken.
func TestReservedTunnels(t *testing.T) {
	d, friend := openDoor(), netip.MustParseAddr("51.0.0.1")
	d.reserves = func(ip net.IP) bool { return ip.Equal(friend.AsSlice()) || ip.IsLoopback() }
	s := &Server{
		config: Config{Admission: d}, places: map[types.ID]*places.Places{"a": newPlaces()},
		out: make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	take := func(ip netip.Addr) error {
		p, _, err := s.take("a", ip, func() {})
		if err == nil {
			p.Settle()
		}

		return err
	}
	for i := range maxTunnels - reserved {
		require.NoError(t, take(netip.AddrFrom4([4]byte{52, byte(i), 0, 1})))
	}
	require.ErrorIs(t, take(netip.MustParseAddr("53.0.0.1")), errFull)
	for range reserved {
		require.NoError(t, take(friend))
	}
	require.ErrorIs(t, take(netip.MustParseAddr("127.0.0.1")), errFull, "every place is taken")
}
