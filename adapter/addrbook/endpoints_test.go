package addrbook

import (
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func at(ip net.IP, port uint16, id types.ID) *types.NetAddress {
	return &types.NetAddress{ID: id, IP: ip, Port: port}
}

// So many dials may fail at one IP and port, and at one host, whatever IDs they ask for.
// They are forgotten 10 minutes after the first of them.
func TestFailuresAreForgotten(t *testing.T) {
	now := time.Unix(1, 0)
	s := newEndpoints()
	there := net.IPv4(9, 9, 9, 9)
	for i := range maxEndpointFailures {
		require.True(t, s.may(at(there, 1, "a"), now), i)
		s.failed(at(there, 1, types.ID(rune('a'+i))), now)
	}
	require.False(t, s.may(at(there, 1, "new"), now))
	require.True(t, s.may(at(there, 2, "new"), now), "another port")
	for i := range maxHostFailures - maxEndpointFailures {
		require.True(t, s.may(at(there, 999, "new"), now), i)
		s.failed(at(there, uint16(100+i), "a"), now)
	}
	require.False(t, s.may(at(there, 999, "new"), now), "another port of the same host")
	require.True(t, s.may(at(net.IPv4(9, 9, 9, 8), 1, "new"), now), "another host")
	require.False(t, s.may(at(there, 1, "new"), now.Add(endpointMemory-1)))
	require.True(t, s.may(at(there, 1, "new"), now.Add(endpointMemory)))
	require.True(t, s.may(at(there, 999, "new"), now.Add(endpointMemory)))

	nearby := net.IPv4(10, 0, 0, 1)
	for i := range 2 * maxHostFailures {
		s.failed(at(nearby, uint16(100+i), "a"), now)
	}
	require.True(t, s.may(at(nearby, 999, "new"), now), "many nodes may share a private address")
}

// A dial counts from its start, and once.
func TestTriesCountOnce(t *testing.T) {
	now := time.Unix(1, 0)
	s := newEndpoints()
	there := net.IPv4(9, 9, 9, 9)
	for i := range maxEndpointFailures {
		require.True(t, s.try(at(there, 1, "a"), now), i)
	}
	require.False(t, s.try(at(there, 1, "a"), now), "the first ones are still under way")

	s = newEndpoints()
	for i := range maxEndpointFailures {
		require.True(t, s.try(at(there, 1, "a"), now), i)
		s.failed(at(there, 1, "a"), now)
	}
	require.False(t, s.try(at(there, 1, "a"), now))
	require.Equal(t, maxEndpointFailures, s.known["9.9.9.9"].failed)
	require.Zero(t, s.known["9.9.9.9"].tried)

	s = newEndpoints()
	for port := range uint16(3 * maxHostFailures) {
		require.True(t, s.try(at(there, 1+port, "a"), now), port)
		s.answered(at(there, 1+port, "a"), now)
	}
	require.Zero(t, s.known["9.9.9.9"].failed, "nothing speaks against a host with many nodes")
}

// Who has answered at an endpoint is the only one to be looked for there, until it is
// not found there any more.
func TestOwnerOfAnEndpoint(t *testing.T) {
	now := time.Unix(1, 0)
	s := newEndpoints()
	there := net.IPv4(9, 9, 9, 9)
	s.failed(at(there, 1, "fake"), now)
	s.answered(at(there, 1, "owner"), now)
	require.False(t, s.try(at(there, 1, "fake"), now))
	for range 2 * maxEndpointFailures {
		s.failed(at(there, 1, "fake"), now)
		require.True(t, s.try(at(there, 1, "owner"), now))
	}
	require.True(t, s.may(at(there, 1, "fake"), now.Add(endpointMemory)))

	s.failed(at(there, 1, "owner"), now)
	require.True(t, s.try(at(there, 1, "heir"), now))
	s.answered(at(there, 1, "heir"), now)
	require.False(t, s.try(at(there, 1, "owner"), now))
}

// A node that uses relays finds many peers at one endpoint. There, as anywhere, so many
// dials may fail and no more, however often the relay answers.
func TestRelayedPeersShareAnEndpoint(t *testing.T) {
	b, err := Open("", types.NetAddress{})
	require.NoError(t, err)
	there := net.IPv4(9, 9, 9, 9)
	relay := at(there, 1, types.GenerateNodeKey().ID())
	first, second := at(there, 1, types.GenerateNodeKey().ID()), at(there, 1, types.GenerateNodeKey().ID())
	source := Source{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(8, 8, 8, 8)}
	b.MarkConnected(relay, true)
	require.Zero(t, b.Add(source, first), "this node would find the relay")

	b.AllowRelayed()
	for range 2 {
		b.MarkConnected(relay, true)
		require.Equal(t, 1, b.Add(source, first))
		require.Len(t, b.Dialable([]*types.NetAddress{first}), 1)
		require.True(t, b.Try(first))
		b.MarkConnected(first, true)
		first = second
	}
	made := func() *types.NetAddress { return at(there, 1, types.GenerateNodeKey().ID()) }
	for i := range maxEndpointFailures {
		addr := made()
		require.True(t, b.Try(addr), i)
		b.MarkWrongID(addr, relay.ID)
		b.MarkConnected(relay, true)
	}
	require.False(t, b.Try(made()))
	require.Len(t, b.Dialable([]*types.NetAddress{relay, second}), 2, "these have answered")
}

// The memory is bounded. What does not count any more takes no room from what does.
func TestEndpointsAreBounded(t *testing.T) {
	now := time.Unix(1, 0)
	s := newEndpoints()
	there := func(i int) *types.NetAddress { return at(net.IPv4(9, byte(i>>16), byte(i>>8), byte(i)), 1, "a") }
	for i := range 2 * maxEndpoints {
		require.True(t, s.try(there(i), now))
		require.LessOrEqual(t, len(s.known), maxEndpoints)
	}
	now = now.Add(endpointMemory)
	for i := range maxEndpoints / 2 { // each with its host
		s.answered(there(i), now)
	}
	require.Len(t, s.known, maxEndpoints)
	for i := range maxEndpoints / 2 {
		require.Equal(t, types.ID("a"), s.fresh(there(i).DialString(), now).owner, i)
	}
}

func TestKnownPeersAreBounded(t *testing.T) {
	b, err := Open("", types.NetAddress{})
	require.NoError(t, err)
	for range maxKnown {
		b.peer(types.ID(rune(len(b.peers)))).stack = types.StackNative
	}
	key := types.GenerateNodeKey()
	pub := key.PrivKey.Public().(ed25519.PublicKey)
	b.LearnKey(pub)
	require.Len(t, b.peers, maxKnown)
	require.Equal(t, pub, b.Key(key.ID()))
	b.LearnKey(pub[:31])
	require.Len(t, b.peers, maxKnown)
}
