package discovery

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// No two networks share a prefix, and none can pass for another protocol.
func TestPrefixes(t *testing.T) {
	for network, want := range map[string]string{
		"gnoland1": "/tm2/gnoland1",
		"test.5":   "/tm2/test.5",
		"a/b":      "/tm2/a%2Fb",
		"a%2Fb":    "/tm2/a%252Fb",
		"session":  "/tm2/session",
		"x\n y":    "/tm2/x%0A%20y",
		"ä":        "/tm2/%C3%A4",
		"\xff":     "/tm2/%FF",
		"A":        "/tm2/A",
		"a":        "/tm2/a",
	} {
		prefix, err := protocolPrefix(network)
		require.NoError(t, err)
		require.Equal(t, want, string(prefix))
	}
	_, err := protocolPrefix("")
	require.ErrorIs(t, err, errNoNetwork)
}

func TestAddresses(t *testing.T) {
	public, all := addrFilter{}, addrFilter{private: true}
	for text, want := range map[string]struct {
		at             string
		public, nearby bool
	}{
		"/ip4/1.2.3.4/tcp/26656":         {"1.2.3.4:26656", true, true},
		"/ip4/1.2.3.4/udp/26656/quic-v1": {"1.2.3.4:26656", true, true},
		"/ip6/2a00::1/tcp/1":             {"[2a00::1]:1", true, true},
		"/ip6/::ffff:1.2.3.4/tcp/1":      {"1.2.3.4:1", true, true},
		"/ip4/10.0.0.1/tcp/1":            {"10.0.0.1:1", false, true},
		"/ip4/127.0.0.1/tcp/1":           {"127.0.0.1:1", false, true},
		"/ip6/::ffff:127.0.0.1/tcp/1":    {"127.0.0.1:1", false, true},
		"/ip4/169.254.1.1/tcp/1":         {"169.254.1.1:1", false, true},
		"/ip4/100.64.0.1/tcp/1":          {"100.64.0.1:1", false, true},
		"/ip6/fd00::1/tcp/1":             {"[fd00::1]:1", false, true},
		"/ip6/::1/tcp/1":                 {"[::1]:1", false, true},
		"/ip4/0.0.0.0/tcp/1":             {"0.0.0.0:1", false, false},
		"/ip4/0.1.2.3/tcp/1":             {"0.1.2.3:1", false, false},
		"/ip6/::/tcp/1":                  {"[::]:1", false, false},
		"/ip4/1.2.3.4/tcp/0":             {"1.2.3.4:0", false, false},
		"/ip4/224.0.0.1/tcp/1":           {"224.0.0.1:1", false, false},
		"/ip4/255.255.255.255/tcp/1":     {"255.255.255.255:1", false, false},
		"/ip6/2001:db8::1/tcp/1":         {"[2001:db8::1]:1", false, false},
		"/ip4/1.2.3.4/udp/1":             {},
		"/ip4/1.2.3.4/tcp/1/ws":          {},
		"/ip4/1.2.3.4/tcp/1/p2p/" + somePeer(t, 1).String() + "/p2p-circuit": {},
		"/dns4/example.org/tcp/1":         {},
		"/ip6zone/eth0/ip6/fe80::1/tcp/1": {},
		"/p2p-circuit":                    {},
	} {
		a, err := multiaddr.NewMultiaddr(text)
		require.NoError(t, err, text)
		at, ok := public.parse(a)
		require.Equal(t, want.public, ok, text)
		if want.at != "" {
			require.Equal(t, want.at, at.String())
		}
		_, ok = all.parse(a)
		require.Equal(t, want.nearby, ok, text)
	}
	var many []multiaddr.Multiaddr
	for i := range 20 {
		many = append(many, addrAt(t, i))
	}
	require.Equal(t, many[:maxAddrs], public.filter(many))
}

func addrAt(t *testing.T, i int) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/1.2.%d.%d/tcp/26656", i/256, i%256))
	require.NoError(t, err)

	return a
}

// somePeer is a peer ID of the right kind: the identity multihash of a key.
func somePeer(t *testing.T, i int) peer.ID {
	t.Helper()
	key := make([]byte, 38)
	copy(key, []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20})
	key[6], key[7], key[8] = byte(i), byte(i>>8), byte(i>>16)
	id, err := peer.IDFromBytes(key)
	require.NoError(t, err)

	return id
}

func TestRecordsAreBounded(t *testing.T) {
	r := newRecords()
	now := time.Now()
	r.refuse(somePeer(t, 1), refusedTTL, now)
	r.noteAnswer(somePeer(t, 2), now)
	for i := 10; i < 3*maxKnown; i++ {
		r.beginCheck(somePeer(t, i), now.Add(time.Duration(i)))
	}
	all, refused := r.size(now)
	require.LessOrEqual(t, all, maxKnown)
	require.Greater(t, all, maxKnown/2)
	require.Equal(t, 1, refused)
	require.True(t, r.isRefused(somePeer(t, 1), now), "others displace neither who is refused")
	require.True(t, r.isAlive(somePeer(t, 2), now), "nor who has answered")
	require.NotContains(t, r.peers, somePeer(t, 10), "the oldest are gone")
	require.False(t, r.isRefused(somePeer(t, 1), now.Add(refusedTTL)))
}

// A peer is hinted at growing distances while nothing comes of it.
func TestHintsAreSpaced(t *testing.T) {
	r := newRecords()
	now := time.Now()
	p, at := somePeer(t, 1), netip.MustParseAddrPort("1.2.3.4:5")
	next := func() time.Duration { // until p is hinted
		for _, wait := range []time.Duration{0, hintWait, failWait, 2 * failWait, 4 * failWait, maxFailWait} {
			if len(r.alive(now.Add(wait))) > 0 {
				require.Equal(t, []peer.ID{p}, r.alive(now.Add(wait)))

				return wait
			}
			require.Empty(t, r.alive(now.Add(wait)))
		}

		return -1
	}
	r.noteAnswer(p, now)
	require.Zero(t, next())
	r.hinted(p, at, now)
	require.Equal(t, hintWait, next())
	for _, wait := range []time.Duration{failWait, 2 * failWait, 4 * failWait} {
		r.failed(p, at, at, false, now)
		require.Equal(t, wait, next())
	}
	for range 20 {
		r.failed(p, at, at, false, now)
	}
	r.noteAnswer(p, now.Add(maxFailWait))
	require.Equal(t, maxFailWait, next())

	r.failed(p, netip.MustParseAddrPort("1.2.3.4:6"), at, true, now)
	require.True(t, r.isAlive(p, now), "it was dialed where others say")
	r.failed(p, at, netip.AddrPort{}, true, now)
	require.False(t, r.isAlive(p, now), "it has to answer again")
	r.connected(p, now)
	r.noteAnswer(p, now)
	require.Zero(t, next())
	r.refuse(p, refusedTTL, now)
	require.EqualValues(t, -1, next())
}

func TestWantedPeersAreLookedForAtGrowingDistances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWanted()
		w.lost("stranger")
		_, due := w.next(time.Now())
		require.Zero(t, due, "nobody knows it")

		w.add("friend", false)
		w.lost("friend")
		<-w.queued
		begun, tries := time.Now(), 0
		for {
			id, due := w.next(time.Now())
			if id != "" {
				tries++

				continue
			}
			if due.IsZero() {
				break
			}
			<-time.After(time.Until(due)) // in a bubble
		}
		require.Equal(t, maxFindTries, tries)
		require.Equal(t, firstFindWait*(1+2+4+8+16), time.Since(begun))

		w.lost("friend") // another dial has failed
		<-w.queued
		id, due := w.next(time.Now())
		require.Empty(t, id)
		require.Equal(t, 32*firstFindWait, time.Until(due))
		w.add("friend", false) // it has come by itself
		_, due = w.next(time.Now())
		require.Zero(t, due)
		w.lost("friend")
		id, _ = w.next(time.Now())
		require.Equal(t, types.ID("friend"), id)
		w.found("friend")
		_, due = w.next(time.Now())
		require.Zero(t, due)
	})
}

func TestWantedPeersAreBounded(t *testing.T) {
	w := newWanted()
	w.add("seed", true)
	for i := range 2 * maxWanted {
		w.add(types.ID(fmt.Sprint(i)), false)
	}
	require.Len(t, w.peers, maxWanted+1)
	require.Contains(t, w.peers, types.ID("seed"))

	// Those that are looked for are bounded, too.
	for i := range 2 * maxWanted {
		id := types.ID(fmt.Sprint("lost ", i))
		w.add(id, false)
		w.lost(id)
	}
	require.Len(t, w.peers, maxWanted+1)
	w.lost("seed")
	id, _ := w.next(time.Now())
	require.Equal(t, types.ID("seed"), id, "those that are configured come first")
}

// Of others who waits longest comes first.
func TestWantedPeersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWanted()
		for _, id := range []types.ID{"a", "b", "c"} {
			w.add(id, false)
			w.lost(id)
		}
		turns := make(map[types.ID]int)
		for range 9 {
			id, due := w.next(time.Now())
			for id == "" {
				<-time.After(time.Until(due)) // in a bubble
				id, due = w.next(time.Now())
			}
			turns[id]++
			<-time.After(time.Minute)
		}
		require.Equal(t, map[types.ID]int{"a": 3, "b": 3, "c": 3}, turns)
	})
}

// Refusals, which cost a stranger a handshake, displace nobody who has answered.
func TestRefusalsDisplaceNobodyAlive(t *testing.T) {
	r := newRecords()
	now := time.Now()
	for i := range 100 {
		r.noteAnswer(somePeer(t, i), now)
	}
	for i := 1000; i < 1000+2*maxKnown; i++ {
		r.refuse(somePeer(t, i), refusedTTL, now.Add(time.Duration(i)))
	}
	require.Len(t, r.alive(now), 100)
	_, refused := r.size(now)
	require.Equal(t, maxRefused, refused)
	require.True(t, r.isRefused(somePeer(t, 999+2*maxKnown), now), "the newest are kept")
}
