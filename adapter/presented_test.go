package adapter

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// presenter is a node that presents peers over one connection.
type presenter struct {
	id types.ID
	ip string
}

// hostOfIP returns the host of an IP, and the zero value for none.
func hostOfIP(ip string) netip.Prefix {
	if ip == "" {
		return netip.Prefix{}
	}

	return netgroup.Host(netip.MustParseAddr(ip))
}

// comes reserves a slot for a peer of which the presenter says that it is at the IP.
func comes(sw *MultiplexSwitch, by presenter, id types.ID, at string) (*connection, error) {
	conn := &connection{id: id, conn: &offender{ip: net.ParseIP(by.ip), by: by.id}, gone: make(chan struct{})}
	who := sw.candidate(id, false, net.ParseIP(by.ip), by.id)
	who.presentedAt(hostOfIP(at), sw.lists)
	former, err := sw.registry.reserve(conn, &who)
	if former != nil {
		err = errEvicted
	}
	sw.registry.endReserve(who)

	return conn, err
}

// At defaults, one bridge that nobody has configured gets a quarter of the inbound slots for
// nodes of different hosts, all such bridges together a half, and a configured one what is left.
func TestBridgesHaveShares(t *testing.T) {
	friend := presenter{testID(1), "9.9.9.1"}
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, WithUnconditionalPeers([]types.ID{friend.id}))
	next := 0
	fill := func(by presenter) (n int, err error) {
		for ; err == nil; next++ {
			_, err = comes(sw, by, testID(1000+next), netip.AddrFrom4([4]byte{51, byte(next), 0, 1}).String())
			n++
		}

		return n - 1, err
	}
	n, err := fill(presenter{testID(2), "9.9.9.2"})
	require.Equal(t, 10, n)
	requireCode(t, compat.RejectFull, err)
	require.ErrorContains(t, err, "quarter of the 40 inbound slots")
	n, _ = fill(presenter{testID(3), "9.9.9.2"})
	require.Zero(t, n, "another key at the same host is the same bridge")
	n, _ = fill(presenter{testID(2), "9.9.9.3"})
	require.Zero(t, n, "and so is the same key at another host")
	n, _ = fill(presenter{testID(4), "9.9.9.4"})
	require.Equal(t, 10, n)
	n, err = fill(presenter{testID(5), "9.9.9.5"})
	require.Zero(t, n)
	require.ErrorContains(t, err, "half of the 40 inbound slots")
	n, err = fill(friend)
	require.Equal(t, 20, n)
	require.ErrorContains(t, err, "all 40 inbound slots")
}

// A bridge that the operator has blocked presents nobody, and no bridge presents a blocked IP.
func TestBlockedBridgePresentsNobody(t *testing.T) {
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, WithBlockedIPs([]netip.Prefix{netip.MustParsePrefix("51.0.0.0/16")}))
	bridge := presenter{types.GenerateNodeKey().ID(), "9.9.9.1"}
	_, err := comes(sw, bridge, testID(2), "51.0.0.1")
	requireCode(t, compat.RejectBanned, err)
	_, err = comes(sw, bridge, testID(2), "52.0.0.1")
	require.NoError(t, err)
	require.NoError(t, sw.BlockPeer(bridge.id))
	_, err = comes(sw, bridge, testID(3), "53.0.0.1")
	requireCode(t, compat.RejectBanned, err)
}

// One host has one slot, whoever presents it, and an IPv6 /64 is one host. What a bridge says
// keeps out nobody of whom better is known.
func TestOneSlotForAPresentedHost(t *testing.T) {
	friend, a, b := presenter{testID(1), "9.9.9.1"}, presenter{testID(2), "9.9.9.2"}, presenter{testID(3), "9.9.9.3"}
	direct := func(ip string) presenter { return presenter{"", ip} }
	type step struct {
		by  presenter
		at  string
		out bool // refused
	}
	for name, steps := range map[string][]step{
		"one bridge":                       {{a, "51.0.0.1", false}, {a, "51.0.0.1", true}, {a, "51.0.0.2", false}},
		"two bridges":                      {{a, "51.0.0.1", false}, {b, "51.0.0.1", true}},
		"a configured one twice":           {{friend, "51.0.0.1", false}, {friend, "51.0.0.1", true}},
		"an IPv6 /64":                      {{a, "2a00::1", false}, {b, "2a00::2", true}, {b, "2a00:0:0:1::1", false}},
		"its own host is no other":         {{a, "9.9.9.2", false}, {a, "51.0.0.1", false}},
		"after a peer that is there":       {{direct("51.0.0.1"), "", false}, {a, "51.0.0.1", true}, {friend, "51.0.0.1", true}},
		"a lie keeps no peer out":          {{a, "51.0.0.1", false}, {direct("51.0.0.1"), "", false}, {direct("51.0.0.1"), "", true}},
		"nor a configured bridge's":        {{a, "51.0.0.1", false}, {friend, "51.0.0.1", false}, {b, "51.0.0.1", true}},
		"nor does a configured one's":      {{friend, "51.0.0.1", false}, {direct("51.0.0.1"), "", false}},
		"private hosts are another's":      {{a, "192.168.0.5", false}, {b, "192.168.0.5", false}, {a, "192.168.0.5", true}},
		"private ones and our own network": {{a, "192.168.0.5", false}, {direct("192.168.0.5"), "", false}},
		"a bridge that does not tell":      {{a, "", false}, {a, "", true}, {a, "51.0.0.1", false}},
		"a configured one that does not":   {{friend, "", false}, {friend, "", false}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, allow := range []bool{false, true} {
				sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, WithUnconditionalPeers([]types.ID{friend.id}), WithAllowDuplicateIP(allow))
				var conns []*connection
				for i, s := range steps {
					c, err := comes(sw, s.by, testID(10+i), s.at)
					require.Equal(t, s.out && !allow, err != nil, "step %d with allow_duplicate_ip = %t: %v", i, allow, err)
					if err == nil {
						conns = append(conns, c)
					} else {
						requireCode(t, compat.RejectFull, err)
					}
				}
				for _, c := range conns {
					sw.registry.vacate(c)
					sw.registry.release(c)
				}
				require.Empty(t, sw.registry.spots, "nothing is counted any more")
				require.Zero(t, sw.registry.taken[slotInbound])
			}
		})
	}
}

// The peers of a configured bridge count in the networks that it tells, as if they came themselves.
// So one network behind it gives way to others, whether these come by the bridge or not.
func TestCrowdedNetworkBehindAConfiguredBridgeGivesWay(t *testing.T) {
	friend := presenter{testID(50), "9.9.9.1"}
	for name, c := range map[string]struct {
		told []string
		want int // gives way, -1: nobody
	}{
		"one site":              {[]string{"2a00:1:1:1::1", "2a00:1:1:2::1", "2a00:1:1:3::1", "2a00:1:1:4::1"}, 3},
		"two of one network":    {[]string{"2a00:1:1:1::1", "2a00:1:2:1::1", "51.0.0.1", "52.0.0.1"}, 1},
		"all of other networks": {[]string{"2a00:1::1", "2a01:1::1", "51.0.0.1", "52.0.0.1"}, -1},
		"hosts near the bridge": {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}},
				WithMaxInboundPeers(4), WithUnconditionalPeers([]types.ID{friend.id}))
			begin := time.Now()
			for i, told := range c.told {
				conn, err := comes(sw, friend, testID(i), told)
				require.NoError(t, err)
				conn.started, conn.since = true, begin.Add(time.Duration(i)*time.Millisecond)
			}
			require.Equal(t, c.want, loser(sw, "8.8.8.8"))
			_, err := comes(sw, friend, testID(97), "8.8.8.8")
			if c.want < 0 {
				requireCode(t, compat.RejectFull, err)
			} else {
				require.ErrorIs(t, err, errEvicted)
			}
		})
	}
}

// One network does not keep the share of a bridge for ever: the youngest of its peers gives way to a
// peer of another network that the same bridge presents. The share stays as large as it is.
func TestCrowdedNetworkBehindABridgeGivesWay(t *testing.T) {
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}})
	bridge, other := presenter{testID(50), "9.9.9.1"}, presenter{testID(51), "9.9.9.2"}
	begin := time.Now()
	var conns []*connection
	for i := range DefaultMaxInboundPeers / bridgeShare {
		conn, err := comes(sw, bridge, testID(i), fmt.Sprintf("2a00:1:1:%x::1", i))
		require.NoError(t, err)
		conn.started, conn.since = true, begin.Add(time.Duration(i)*time.Millisecond)
		conns = append(conns, conn)
		_, err = comes(sw, other, testID(20+i), fmt.Sprintf("2a00:1:2:%x::1", i))
		require.NoError(t, err)
	}
	for _, at := range []string{"2a00:1:1:ff::1", "10.0.0.1", ""} {
		_, err := comes(sw, bridge, testID(60), at)
		require.ErrorContains(t, err, "rejected: full", "nobody gives way to %q", at)
	}

	r := &sw.registry
	newcomer := &connection{id: testID(61), conn: &offender{ip: net.ParseIP(bridge.ip), by: bridge.id}, gone: make(chan struct{})}
	who := sw.candidate(newcomer.id, false, net.ParseIP(bridge.ip), bridge.id)
	who.presentedAt(hostOfIP("51.0.0.1"), sw.lists)
	loser, err := r.reserve(newcomer, &who)
	require.NoError(t, err)
	require.Equal(t, conns[len(conns)-1], loser)
	r.vacate(loser)
	r.release(loser)
	_, err = comes(sw, bridge, testID(62), "52.0.0.1")
	require.ErrorContains(t, err, "quarter", "the place is promised")
	former, err := r.reserve(newcomer, &who)
	require.NoError(t, err)
	require.Nil(t, former)
	r.endReserve(who)
	require.EqualValues(t, DefaultMaxInboundPeers/bridgesShare, r.taken[slotInbound])
	_, err = comes(sw, bridge, testID(62), "52.0.0.1")
	require.ErrorIs(t, err, errEvicted, "the next one finds a place too")
}

// A peer that comes back to its bridge takes its own place, however full the share is.
func TestPresentedPeerReplacesItself(t *testing.T) {
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, WithMaxInboundPeers(4))
	bridge := presenter{testID(1), "9.9.9.1"}
	first, err := comes(sw, bridge, testID(2), "51.0.0.1")
	require.NoError(t, err)
	_, err = comes(sw, bridge, testID(3), "51.0.0.2")
	require.ErrorContains(t, err, "quarter")
	first.shut(errReplaced)
	_, err = comes(sw, bridge, testID(2), "51.0.0.1")
	require.ErrorIs(t, err, errEvicted, "it waits for the end of the former one")
}
