package compattest

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func peersPromises() []switchPromise {
	return []switchPromise{
		{"Peers/UnknownIsNil", testUnknownIsNil},
		{"Peers/ListIsFresh", testListIsFresh},
		{"Peers/Counts", testCounts},
		{"Peers/Describe", testDescribe},
		{"Peers/AnnounceReactorChannels", testAnnouncedChannels},
		{"Peers/ValuesAreOfTheConnection", testValues},
	}
}

func testUnknownIsNil(t *testing.T, c *cluster) {
	n := c.node(t)
	requireUnknown := func(id types.ID) {
		t.Helper()
		// require.Nil would also accept a nil pointer in the interface.
		require.True(t, n.Peers().Get(id) == nil, "Get returns the nil interface")
		require.False(t, n.Peers().Has(id))
		require.False(t, n.Peers().Remove(id))
	}
	requireUnknown(types.GenerateNodeKey().ID())
	requireUnknown("")
	require.NoError(t, n.Start())
	other := c.started(t)
	c.connect(t, n, other)
	requireUnknown(types.GenerateNodeKey().ID())
	c.disconnect(t, n, other)
	requireUnknown(other.id())
}

func testListIsFresh(t *testing.T, c *cluster) {
	n := c.started(t)
	require.Empty(t, n.Peers().List())
	var want []compat.PeerConn
	for range 3 {
		peer, _ := c.connect(t, n, c.started(t))
		want = append(want, peer)
	}
	first, second := n.Peers().List(), n.Peers().List()
	requireSamePeers(t, want, first)
	slices.Reverse(first)
	first = slices.Delete(first, 0, 2)
	first[0] = nil
	requireSamePeers(t, want, second)
	requireSamePeers(t, want, n.Peers().List())
}

// requireSamePeers compares pointers, since the state of peers changes all the time.
func requireSamePeers(t *testing.T, want, got []compat.PeerConn) {
	t.Helper()
	require.Len(t, got, len(want))
	for _, p := range want {
		require.True(t, slices.Contains(got, p), "the list has the peer %s", p.ID())
	}
}

func testCounts(t *testing.T, c *cluster) {
	n, dialer := c.started(t), c.started(t)
	first, second := c.started(t), c.started(t)
	requireCounts := func(inbound, outbound uint64) {
		t.Helper()
		require.Equal(t, inbound, n.Peers().NumInbound(), "inbound")
		require.Equal(t, outbound, n.Peers().NumOutbound(), "outbound")
	}
	requireCounts(0, 0)
	c.connect(t, n, first)
	requireCounts(0, 1)
	c.connect(t, n, second)
	c.connect(t, dialer, n)
	requireCounts(1, 2)
	require.Len(t, n.Peers().List(), 3)
	c.disconnect(t, n, first)
	requireCounts(1, 1)
	c.disconnect(t, dialer, n)
	requireCounts(0, 1)
	require.NoError(t, n.Stop())
	requireCounts(0, 0)
}

func testDescribe(t *testing.T, c *cluster) {
	b := c.node(t)
	a := c.started(t, func(s *nodeSetup) {
		s.PersistentPeers = []*types.NetAddress{b.address()}
		s.PrivatePeers = []types.ID{b.id()}
	})
	require.NoError(t, b.Start())
	c.await(t, "the persistent peer is connected", func() bool {
		return a.log.count(connected, b.id()) > 0 && b.log.count(connected, a.id()) > 0
	})
	atA, atB := a.Peers().Get(b.id()), b.Peers().Get(a.id())
	require.Equal(t, b.id(), atA.ID())
	require.Equal(t, a.id(), atB.ID())
	require.True(t, atA.IsOutbound())
	require.False(t, atB.IsOutbound())
	require.True(t, atA.IsPersistent())
	require.False(t, atB.IsPersistent())
	require.True(t, atA.IsPrivate())
	require.False(t, atB.IsPrivate())
	for _, p := range []compat.PeerConn{atA, atB} {
		require.True(t, p.IsRunning())
		require.NotNil(t, p.RemoteAddr())
		require.NotNil(t, p.SocketAddr())
		require.Equal(t, p.ID(), p.SocketAddr().ID)
		require.NotNil(t, p.NodeInfo().NetAddress)
		require.Equal(t, p.ID(), p.NodeInfo().ID())
		require.Equal(t, []byte{ChannelA, ChannelB}, p.NodeInfo().Channels)
		require.Equal(t, "compattest", p.NodeInfo().Moniker)
	}
	require.True(t, atA.SocketAddr().Equals(b.addr), "%s is %s", atA.SocketAddr(), &b.addr)
}

// A switch announces the channels of its reactors, whatever the NodeInfo of its transport
// names: here one that no reactor serves, and not all that are served.
func testAnnouncedChannels(t *testing.T, c *cluster) {
	const unserved byte = 0x50
	var nodes []*switchNode
	for range 2 {
		spec := identity()
		spec.Info.Channels = []byte{ChannelA, unserved}
		n := c.nodeOf(t, spec)
		require.NoError(t, n.Start())
		nodes = append(nodes, n)
	}
	atA, atB := c.connect(t, nodes[0], nodes[1])
	for _, p := range []compat.PeerConn{atA, atB} {
		require.Equal(t, []byte{ChannelA, ChannelB}, p.NodeInfo().Channels)
	}
	require.True(t, atA.Send(ChannelB, []byte("unnamed")))
	c.await(t, "a message on a channel that the NodeInfo did not name", func() bool {
		return nodes[1].log.has(func(e entry) bool { return e.channel == ChannelB && e.msg == "unnamed" })
	})
}

func testValues(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	value := &struct{ int }{1}
	var former []compat.PeerConn
	for range 3 {
		atA, atB := c.connect(t, a, b)
		for _, p := range []compat.PeerConn{atA, atB} {
			require.False(t, slices.Contains(former, p), "a connection has a PeerConn of its own")
			former = append(former, p)
			require.Nil(t, p.Get("key"), "a connection starts without values")
			p.Set("key", value)
			require.Same(t, value, p.Get("key"))
		}
		setConcurrently(t, atA)
		c.disconnect(t, a, b)
		require.Same(t, value, atA.Get("key"), "values outlive the connection")
	}
}

func setConcurrently(t *testing.T, p compat.PeerConn) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 100 {
				p.Set("shared", i)
				p.Get("shared")
			}
		})
	}
	wg.Wait()
	require.IsType(t, 0, p.Get("shared"))
}
