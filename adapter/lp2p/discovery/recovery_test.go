package discovery_test

import (
	"net"
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
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// maker is newNode for one kind of node.
type maker func(t testing.TB, s spec) *node

// overTCPAndQUIC runs the test with nodes that speak TCP, and with nodes whose sessions are over QUIC.
func overTCPAndQUIC(t *testing.T, test func(*testing.T, maker)) {
	t.Run("TCP", func(t *testing.T) {
		t.Parallel()
		test(t, newNode)
	})
	t.Run("QUIC", func(t *testing.T) {
		t.Parallel()
		test(t, func(t testing.TB, s spec) *node {
			s.transport = append(s.transport, lp2p.WithQUICOnly())

			return newNode(t, s)
		})
	})
}

// logAgain tells how long a node was without its peers.
func logAgain(t *testing.T, since time.Time) {
	t.Helper()
	t.Logf("%s: connected again after %s", t.Name(), time.Since(since).Round(time.Millisecond))
}

// passive are the options of a node that nobody asks, and that looks for nobody
// but whom it misses: without them the node that has moved may come by itself.
func passive() []discovery.Option {
	return []discovery.Option{discovery.WithMode(discovery.ModeClient), discovery.WithMaxOutboundPeers(0)}
}

// movedNode stops the node and starts another one with its key, at another port,
// that knows the seed.
func movedNode(t *testing.T, n, seed *node, newNode maker) *node {
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
func TestMovedPersistentPeerIsFound(t *testing.T) { overTCPAndQUIC(t, findMovedPersistentPeer) }

func findMovedPersistentPeer(t *testing.T, newNode maker) {
	hub := newNode(t, spec{})
	friend := newNode(t, spec{seeds: []*node{hub}})
	n := newNode(t, spec{
		seeds: []*node{hub}, dht: passive(),
		sw: []adapter.SwitchOption{adapter.WithPersistentPeers([]*types.NetAddress{friend.addr()})},
	})
	await(t, "persistent peer is connected", func() bool { return n.Peers().Has(friend.id()) }, n)

	configured := friend.addr()
	friend = movedNode(t, friend, hub, newNode)
	moved := time.Now()
	await(t, "persistent peer is found", func() bool {
		p := n.Peers().Get(friend.id())

		return p != nil && p.SocketAddr().Port != configured.Port
	}, n, friend)
	logAgain(t, moved)
	// The switch may use the connection of the search before that counts its find.
	await(t, "the search has found it", func() bool { return n.d.Stats().Found > 0 }, n)
}

// A node whose seeds are gone finds its network again through the peers in its book.
func TestRestartedNodeNeedsNoSeed(t *testing.T) { overTCPAndQUIC(t, restartWithoutSeed) }

func restartWithoutSeed(t *testing.T, newNode maker) {
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

	restarted := time.Now()
	n = start()
	await(t, "friend is connected again", func() bool { return n.Peers().Has(friend.id()) }, n)
	logAgain(t, restarted)
}

// The only seed dies in an outage of the whole network. A node that goes on running finds
// the others at their old addresses, whether it had sessions with them or only asked them.
func TestNodeComesBackAfterAnOutageWithoutSeed(t *testing.T) {
	overTCPAndQUIC(t, func(t *testing.T, newNode maker) {
		t.Run("sessions", func(t *testing.T) { comeBackWithoutSeed(t, newNode, 5) })
	})
	t.Run("queries", func(t *testing.T) { comeBackWithoutSeed(t, newNode, 0) })
}

func comeBackWithoutSeed(t *testing.T, newNode maker, slots uint64) {
	hub, key := newNode(t, spec{}), types.GenerateNodeKey()
	book, err := addrbook.Open("", types.NetAddress{ID: key.ID()})
	require.NoError(t, err)
	n := newNode(t, limited(spec{
		key: key, seeds: []*node{hub}, transport: []lp2p.Option{lp2p.WithAddrBook(book)},
		dht: []discovery.Option{discovery.WithRefreshInterval(time.Second)},
	}, slots))
	var others []*node
	for range 5 {
		others = append(others, newNode(t, limited(spec{port: stacktest.FreePortAt(t, net.IPv4(127, 0, 0, 1)), seeds: []*node{hub}}, 0)))
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
	back := time.Now()
	await(t, "the others are found", func() bool {
		return n.d.Stats().Table == 5 && len(n.Peers().List()) == int(slots)
	}, n)
	logAgain(t, back)
	for _, other := range others {
		await(t, "its address is kept for the next start", func() bool {
			return slices.ContainsFunc(book.Of(other.id()), func(e addrbook.Entry) bool { return e.HasAnswered() && e.Failures == 0 })
		}, n)
	}
}
