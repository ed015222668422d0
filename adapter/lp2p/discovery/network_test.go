package discovery_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
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

// passive are the options of a node that nobody asks, and that looks for nobody
// but whom it misses: without them the node that has moved may come by itself.
func passive() []discovery.Option {
	return []discovery.Option{discovery.WithMode(discovery.ModeClient), discovery.WithMaxOutboundPeers(0)}
}

// movedNode stops the node and starts another one with its key, at another port,
// that knows the seed.
func movedNode(t *testing.T, n, seed *node) *node {
	t.Helper()
	old := n.addr()
	n.stop()
	// Nobody else may answer at the old port.
	moved := newNode(t, spec{key: n.key, seeds: []*node{seed}})
	require.NotEqual(t, old.Port, moved.addr().Port)

	return moved
}

// A persistent peer is dialed at its configured address only; when it has moved,
// the DHT knows where to.
func TestMovedPersistentPeerIsFound(t *testing.T) {
	hub := newNode(t, spec{})
	friend := newNode(t, spec{seeds: []*node{hub}})
	n := newNode(t, spec{
		seeds: []*node{hub}, dht: passive(),
		sw: []adapter.SwitchOption{adapter.WithPersistentPeers([]*types.NetAddress{friend.addr()})},
	})
	await(t, "persistent peer is connected", func() bool { return n.Peers().Has(friend.id()) }, n)

	configured := friend.addr()
	friend = movedNode(t, friend, hub)
	await(t, "persistent peer is found", func() bool {
		p := n.Peers().Get(friend.id())

		return p != nil && p.SocketAddr().Port != configured.Port
	}, n, friend)
	require.NotZero(t, n.d.Stats().Found)
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
	friend = movedNode(t, friend, hub)
	// It is in the DHT again when others have it in their tables.
	await(t, "hub knows where", func() bool { return hub.Peers().Has(friend.id()) }, hub, friend)
	require.False(t, n.Peers().Has(friend.id()))

	n.DialPeers(old)
	await(t, "peer is found", func() bool { return n.Peers().Has(friend.id()) }, n, friend)
	require.NotZero(t, n.d.Stats().Found)
}

// A node whose seeds are gone finds its network again through the peers in its book.
func TestRestartedNodeNeedsNoSeed(t *testing.T) {
	key, path := types.GenerateNodeKey(), filepath.Join(t.TempDir(), "addrbook.json")
	start := func(seeds ...*node) *node {
		book, err := addrbook.Open(path, types.NetAddress{ID: key.ID()})
		require.NoError(t, err)

		return newNode(t, spec{key: key, seeds: seeds, transport: []lp2p.Option{lp2p.WithAddrBook(book)}})
	}
	hub := newNode(t, spec{})
	friend := newNode(t, spec{seeds: []*node{hub}, dht: []discovery.Option{discovery.WithMaxOutboundPeers(0)}})
	n := start(hub)
	await(t, "friend is connected", func() bool { return n.Peers().Has(friend.id()) }, n)
	n.stop()
	hub.stop()

	n = start()
	await(t, "friend is connected again", func() bool { return n.Peers().Has(friend.id()) }, n)
}

// The only seed dies in an outage of the whole network. A node that goes on running finds
// the others at their old addresses, whether it had sessions with them or only asked them.
func TestNodeComesBackAfterAnOutageWithoutSeed(t *testing.T) {
	for name, slots := range map[string]uint64{"sessions": 5, "queries": 0} {
		t.Run(name, func(t *testing.T) {
			hub, key := newNode(t, spec{}), types.GenerateNodeKey()
			book, err := addrbook.Open("", types.NetAddress{ID: key.ID()})
			require.NoError(t, err)
			n := newNode(t, limited(spec{
				key: key, seeds: []*node{hub}, transport: []lp2p.Option{lp2p.WithAddrBook(book)},
				dht: []discovery.Option{discovery.WithRefreshInterval(time.Second)},
			}, slots))
			var others []*node
			for range 5 {
				others = append(others, newNode(t, limited(spec{seeds: []*node{hub}}, 0)))
			}
			await(t, "everybody is known", func() bool {
				unknown := slices.ContainsFunc(others, func(o *node) bool { return len(book.Of(o.id())) == 0 })

				return !unknown && n.d.Stats().Table == 6 && len(n.Peers().List()) >= int(slots)
			}, n)
			addrs := make([]*types.NetAddress, len(others))
			hub.stop()
			for i, other := range others {
				addrs[i] = other.addr()
				other.stop()
			}
			await(t, "nobody is left", func() bool { return n.d.Stats().Table == 0 && len(n.Peers().List()) == 0 }, n)
			for i, other := range others {
				newNode(t, limited(spec{key: other.key, port: addrs[i].Port}, 0))
			}
			await(t, "the others are found", func() bool {
				return n.d.Stats().Table == 5 && len(n.Peers().List()) == int(slots)
			}, n)
			for _, other := range others {
				await(t, "its address is kept for the next start", func() bool {
					return slices.ContainsFunc(book.Of(other.id()), func(e addrbook.Entry) bool { return e.HasAnswered() && e.Failures == 0 })
				}, n)
			}
		})
	}
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
