package bridge

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// open takes a slot for a pair of the node.
func (s *slots) open(node claim, remote net.Addr) (release func(), err error) {
	p := &pair{claim: node, gone: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	if err := s.take(p, netgroup.Host(netgroup.FromAddr(remote))); err != nil {
		return nil, err
	}

	return func() { s.giveBack(p) }, nil
}

func nativeNode() claim { return claim{InitiatorNative, types.GenerateNodeKey().ID(), ""} }

func TestSlotsAreCountedPerIP(t *testing.T) {
	s := newSlots(3, 2, nil)
	a, other := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	first, err := s.open(nativeNode(), a)
	require.NoError(t, err)
	_, err = s.open(nativeNode(), a)
	require.NoError(t, err)
	_, err = s.open(nativeNode(), &net.UDPAddr{IP: a.IP})
	require.ErrorIs(t, err, errFull, "one IP, whatever the protocol")
	_, err = s.open(nativeNode(), other)
	require.NoError(t, err)
	_, err = s.open(nativeNode(), &net.TCPAddr{IP: net.ParseIP("2001:db8:1::1")})
	require.ErrorIs(t, err, errFull, "three in total")
	first()
	_, err = s.open(nativeNode(), &net.UDPAddr{IP: net.ParseIP("2001:db8::2")})
	require.NoError(t, err, "the second of one /64")
	var hosts []netip.Prefix
	for _, held := range s.held {
		hosts = append(hosts, held.host)
	}
	at, shared := netgroup.Host(netgroup.FromIP(a.IP)), netgroup.Host(netgroup.FromIP(other.IP))
	require.ElementsMatch(t, []netip.Prefix{at, shared, shared}, hosts)
}

func TestUnconditionalPeersHaveTheirOwnSlots(t *testing.T) {
	friend, stranger := nativeNode(), nativeNode()
	s := newSlots(1, 1, []types.ID{friend.id, types.GenerateNodeKey().ID()})
	at := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}

	pair, err := s.open(friend, at)
	require.NoError(t, err)
	others, err := s.open(stranger, at)
	require.NoError(t, err, "an unconditional peer takes no slot from others")
	_, err = s.open(nativeNode(), at)
	require.ErrorIs(t, err, errFull)
	_, err = s.open(claim{InitiatorLibp2p, friend.id, ""}, at)
	require.ErrorIs(t, err, errFull, "only native nodes are unconditional")

	replacement, err := s.open(friend, at)
	require.NoError(t, err, "all slots are taken, but not its own")
	_, err = s.open(friend, at)
	require.ErrorIs(t, err, errFull, "one pair and the one that replaces it")
	pair()
	pair, err = s.open(friend, at)
	require.NoError(t, err)

	pair()
	replacement()
	others()
	_, err = s.open(nativeNode(), at)
	require.NoError(t, err)
	require.Len(t, s.held, 1, "nothing is left of the others")
}

// Each refusal says how many pairs are taken, and which key allows more.
func TestFullSaysWhatToChange(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}
	other := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)}
	s := newSlots(8, 1, nil)
	_, err := s.open(nativeNode(), at)
	require.NoError(t, err)
	_, err = s.open(nativeNode(), at)
	require.EqualError(t, err, "the bridge has no free pair: 1 are taken for 10.0.0.1, as [bridge].max_pairs_per_ip says")

	s = newSlots(4, 4, nil)
	for i := range 3 {
		_, err = s.open(nativeNode(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(3+i))})
		require.NoError(t, err)
	}
	_, err = s.open(nativeNode(), other)
	require.EqualError(t, err, "the bridge has no free pair: 3 are taken for the nodes of one side, three quarters of [bridge].max_pairs")
	_, err = s.open(claim{InitiatorLibp2p, types.GenerateNodeKey().ID(), ""}, other)
	require.NoError(t, err)
	_, err = s.open(nativeNode(), other)
	require.EqualError(t, err, "the bridge has no free pair: 4 are taken in total, as [bridge].max_pairs says")
}

// A node that the bridge has a slot for gets it again while all are taken.
func TestANodeSharesItsSlotWithItsReplacement(t *testing.T) {
	node, s := nativeNode(), newSlots(1, 1, nil)
	at := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}
	former, err := s.open(node, at)
	require.NoError(t, err)
	replacement, err := s.open(node, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)})
	require.NoError(t, err)
	_, err = s.open(node, at)
	require.ErrorIs(t, err, errFull, "but not without limit")

	former()
	_, err = s.open(nativeNode(), at)
	require.ErrorIs(t, err, errFull, "the replacement holds the slot")
	replacement()
	_, err = s.open(nativeNode(), at)
	require.NoError(t, err)
}

// Neither side locks the other out.
func TestOneSideDoesNotTakeAllSlots(t *testing.T) {
	at := func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i))} }
	for _, sides := range [][2]string{{InitiatorNative, InitiatorLibp2p}, {InitiatorLibp2p, InitiatorNative}} {
		s := newSlots(8, 8, nil)
		var release func()
		for i := range 6 {
			var err error
			release, err = s.open(claim{sides[0], types.GenerateNodeKey().ID(), ""}, at(i))
			require.NoError(t, err)
		}
		_, err := s.open(claim{sides[0], types.GenerateNodeKey().ID(), ""}, at(6))
		require.ErrorIs(t, err, errFull)
		for i := range 2 {
			_, err := s.open(claim{sides[1], types.GenerateNodeKey().ID(), ""}, at(i))
			require.NoError(t, err)
		}
		_, err = s.open(claim{sides[1], types.GenerateNodeKey().ID(), ""}, at(0))
		require.ErrorIs(t, err, errFull)
		release()
		_, err = s.open(claim{sides[0], types.GenerateNodeKey().ID(), ""}, at(0))
		require.NoError(t, err)
	}
}

// An ID in upper case names the same peer.
func TestConfiguredIDsAreCompared(t *testing.T) {
	key := types.GenerateNodeKey()
	id := key.ID()
	upper := []types.ID{types.ID(strings.ToUpper(string(id)))}
	peers := []*types.NetAddress{{ID: upper[0], IP: net.IPv4(127, 0, 0, 1), Port: 1}}
	config := Config{PrivatePeers: upper, UnconditionalPeers: upper, NativePeers: peers, Libp2pPeers: peers}
	b, err := New(*types.GenerateNodeKey(), config, nil)
	require.NoError(t, err)
	require.True(t, b.newPair(InitiatorNative).native.IsPrivatePeer(id))
	require.Contains(t, b.slots.unconditional, id)
	for _, ts := range []*targets{b.nativeTargets, b.libp2pTargets} {
		require.Equal(t, id, ts.configured[0].ID)
	}
	require.Equal(t, upper[0], peers[0].ID, "the caller's address is not changed")

	_, err = New(*key, config, nil)
	require.ErrorContains(t, err, "is the bridge itself")
	config.NativePeers = []*types.NetAddress{{ID: id, IP: net.IPv4(127, 0, 0, 1), Port: 2}, peers[0]}
	_, err = New(*types.GenerateNodeKey(), config, nil)
	require.ErrorIs(t, err, errDuplicatePeer)
}

// A bridge that pairs the nodes of one side has all its pairs for these.
func TestOneSideMayTakeAllSlotsIfItIsAlone(t *testing.T) {
	native, modern := []*types.NetAddress{dialable(1)}, []*types.NetAddress{dialable(2)}
	for _, c := range []struct {
		config Config
		want   int
	}{
		{Config{NativePeers: native, Libp2pPeers: modern}, 6},
		{Config{NativePeers: native}, 6},
		{Config{Libp2pPeers: modern}, 8},
		{Config{NativePeers: native, OnlyConfigured: true}, 8},
	} {
		c.config.MaxPairs = 8
		b, err := New(*types.GenerateNodeKey(), c.config, nil)
		require.NoError(t, err)
		require.Equal(t, c.want, b.slots.perSide, "%+v", c.config)
	}
}
