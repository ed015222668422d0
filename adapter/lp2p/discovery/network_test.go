package discovery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

// limited gives the switch and discovery the same outbound limit.
func limited(s spec, slots uint64) spec {
	s.sw = append(s.sw, adapter.WithMaxOutboundPeers(slots))
	s.dht = append(s.dht, discovery.WithMaxOutboundPeers(slots))

	return s
}

// Sixteen nodes know one of them, and nothing else, not even its peer ID.
func TestNodesWithOneSeedFindEachOther(t *testing.T) {
	const count, slots = 16, 4
	seed := newNode(t, limited(spec{}, slots))
	nodes := []*node{seed}
	for range count - 1 {
		nodes = append(nodes, newNode(t, limited(spec{seeds: []*node{seed}}, slots)))
	}
	await(t, "all slots are used", allFull(nodes, slots), nodes...)
	require.True(t, isConnected(nodes))
	for _, n := range nodes {
		require.NotZero(t, n.d.Stats().Table)
	}
}

func TestNetworkHealsAfterChurn(t *testing.T) {
	const count, slots, leaving = 12, 3, 4
	seed := newNode(t, limited(spec{}, slots))
	nodes := []*node{seed}
	join := func() { nodes = append(nodes, newNode(t, limited(spec{seeds: []*node{seed}}, slots))) }
	for range count - 1 {
		join()
	}
	await(t, "all slots are used", allFull(nodes, slots), nodes...)

	for _, n := range nodes[1 : 1+leaving] {
		n.stop()
	}
	nodes = append([]*node{seed}, nodes[1+leaving:]...)
	for range leaving {
		join()
	}
	await(t, "all slots are used again", func() bool {
		return allFull(nodes, slots)() && isConnected(nodes)
	}, nodes...)
}

// A peer that was connected, and is not found at its old address, is looked
// for.
func TestMovedPeerIsFound(t *testing.T) {
	hub := newNode(t, spec{})
	friend := newNode(t, spec{seeds: []*node{hub}})
	n := newNode(t, spec{seeds: []*node{hub}, dht: passive()})
	old := friend.addr()
	n.DialPeers(old)
	await(t, "peer is connected", func() bool { return n.Peers().Has(friend.id()) }, n)

	friend.stop()
	await(t, "peer is gone", func() bool { return !n.Peers().Has(friend.id()) }, n)
	friend = movedNode(t, friend, hub, newNode)
	// It is in the DHT again when others have it in their tables.
	await(t, "hub knows where", func() bool { return hub.Peers().Has(friend.id()) }, hub, friend)
	require.False(t, n.Peers().Has(friend.id()))

	n.DialPeers(old)
	await(t, "peer is found", func() bool { return n.Peers().Has(friend.id()) }, n, friend)
	require.NotZero(t, n.d.Stats().Found)
}

// Queries go over connections without sessions: they take no slots, and end.
func TestQueriesTakeNoSlots(t *testing.T) {
	hub := newNode(t, spec{})
	var nodes []*node
	for range 6 {
		nodes = append(nodes, newNode(t, spec{
			seeds: []*node{hub}, dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)},
		}))
	}
	await(t, "all have entered the DHT", func() bool {
		for _, n := range nodes {
			if n.d.Stats().Table == 0 {
				return false
			}
		}

		return hub.d.Stats().Table == len(nodes)
	}, nodes...)
	for _, n := range append(nodes, hub) {
		if n == hub {
			continue // it has slots to fill
		}
		require.Zero(t, n.Peers().NumOutbound())
	}
}

func TestStartAndStop(t *testing.T) {
	seed := newNode(t, spec{})
	for range 20 {
		n := newNode(t, spec{seeds: []*node{seed}})
		n.stop()
		require.False(t, n.d.IsRunning())
	}
	n := newNode(t, spec{seeds: []*node{seed}})
	await(t, "session with the seed", func() bool { return n.Peers().Has(seed.id()) }, n)
}
