package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func persistentPromises() []switchPromise {
	return []switchPromise{
		{"Persistent/RedialedAfterLoss", testRedialAfterLoss},
		{"Persistent/ComesUpLater", testComesUpLater},
		{"Persistent/OthersAreNotRedialed", testOthersNotRedialed},
	}
}

// persistentPair returns two nodes. b is a persistent peer of a.
func persistentPair(t *testing.T, c *cluster) (a, b *switchNode) {
	t.Helper()
	b = c.started(t)
	a = c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{b.address()} })
	awaitConnections(t, c, a, b, 1)

	return a, b
}

// awaitConnections waits until the nodes have been connected n times, and are. An end whose other end
// had hung up may have counted one more.
func awaitConnections(t *testing.T, c *cluster, a, b *switchNode, n int) {
	t.Helper()
	c.await(t, "the nodes are connected", func() bool {
		return a.log.count(connected, b.id()) >= n && b.log.count(connected, a.id()) >= n &&
			a.Peers().Has(b.id()) && b.Peers().Has(a.id())
	})
}

// A persistent peer is dialed again, whichever end stopped it.
func testRedialAfterLoss(t *testing.T, c *cluster) {
	a, b := persistentPair(t, c)
	b.StopPeerForError(b.Peers().Get(a.id()), errTest)
	awaitConnections(t, c, a, b, 2)
	c.exchange(t, a, b)
	a.StopPeerForError(a.Peers().Get(b.id()), errTest)
	awaitConnections(t, c, a, b, 3)
	c.exchange(t, a, b)
}

func testComesUpLater(t *testing.T, c *cluster) {
	spec, other := fixedIdentity(t), c.started(t)
	a := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{spec.Info.NetAddress} })
	for range 3 {
		c.connect(t, a, other)
		c.disconnect(t, a, other)
	}
	require.Zero(t, a.log.count(connected, spec.Key.ID()))
	b := c.nodeOf(t, spec)
	require.NoError(t, b.Start())
	awaitConnections(t, c, a, b, 1)
	c.exchange(t, a, b)
}

// Of two peers that disconnect, only the persistent one is dialed again.
func testOthersNotRedialed(t *testing.T, c *cluster) {
	a, b := persistentPair(t, c)
	other := c.started(t)
	c.connect(t, a, other)
	c.disconnect(t, other, a)
	c.disconnect(t, b, a)
	awaitConnections(t, c, a, b, 2)
	require.NoError(t, a.Stop())
	require.Equal(t, 1, a.log.count(initPeer, other.id()))
}
