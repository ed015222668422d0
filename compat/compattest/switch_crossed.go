package compattest

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func crossedPromises() []switchPromise {
	return []switchPromise{
		{"Crossed/OneConnectionStays", testCrossed},
		{"Crossed/PersistentOnBothEnds", testCrossedPersistent},
		{"Crossed/SilentConnectionGivesWay", testGhost},
		{"Crossed/LiveConnectionStays", testLive},
	}
}

// Nodes that dial each other at the same instant end with one connection per pair. TestCrossedDials
// does so many times.
func testCrossed(t *testing.T, c *cluster) {
	const size = 6
	var nodes []*switchNode
	for range size {
		nodes = append(nodes, c.started(t))
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			<-start
			for _, other := range nodes {
				n.DialPeers(other.address()) // including itself, which is skipped
			}
		})
	}
	close(start)
	wg.Wait()
	for i, n := range nodes {
		for _, other := range nodes[:i] {
			awaitOneConnection(t, c, n, other)
		}
	}
	for _, n := range nodes {
		requireStop(t, n)
		require.Len(t, n.log.kind(removed), len(n.log.kind(initPeer)))
		require.Empty(t, n.Peers().List())
	}
}

// Two nodes that are persistent peers of each other end with one connection.
func testCrossedPersistent(t *testing.T, c *cluster) {
	specA, specB := fixedIdentity(t), fixedIdentity(t)
	a := c.nodeOf(t, specA, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{specB.Info.NetAddress} })
	b := c.nodeOf(t, specB, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{specA.Info.NetAddress} })
	var wg sync.WaitGroup
	for _, n := range []*switchNode{a, b} {
		wg.Go(func() {
			if err := n.Start(); err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
	wg.Wait()
	awaitOneConnection(t, c, a, b)
}

// awaitOneConnection waits until the nodes are the two ends of one connection: each has
// one peer, one of them dialed, and messages pass both ways.
func awaitOneConnection(t *testing.T, c *cluster, a, b *switchNode) {
	t.Helper()
	again := c.repeatHangUpsUnless(t, a, b, 0, func() bool {
		return a.Peers().Has(b.id()) || b.Peers().Has(a.id()) // it has hung up the one that does not stay
	})
	c.await(t, "exactly one connection stays, on both ends", func() bool {
		again()
		atA, atB := a.Peers().Get(b.id()), b.Peers().Get(a.id())
		if atA == nil || atB == nil || atA.IsOutbound() == atB.IsOutbound() || !a.hasOne(b.id()) || !b.hasOne(a.id()) {
			return false
		}
		calledA, calledB := a.addedCrossed(b.id()), b.addedCrossed(a.id())
		if !calledB {
			atA.TrySend(ChannelA, []byte("crossed"))
		}
		if !calledA {
			atB.TrySend(ChannelA, []byte("crossed"))
		}

		return calledA && calledB
	})
}

func (n *switchNode) addedCrossed(from types.ID) bool {
	return n.log.has(func(e entry) bool { return e.what == received && e.id == from && e.msg == "crossed" })
}

// hasOne reports whether the node has exactly one connection with the ID.
func (n *switchNode) hasOne(id types.ID) bool {
	return n.log.count(initPeer, id)-n.log.count(removed, id) == 1
}
