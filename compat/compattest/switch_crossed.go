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
	}
}

// Several nodes dial each other at the same instant.
func testCrossed(t *testing.T, c *cluster) {
	const rounds, size = 3, 6
	for range rounds {
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
					n.DialPeers(other.address()) // also itself, which is skipped
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
}

// Nodes that both redial settle on one connection too.
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

// awaitOneConnection waits until the nodes are the two ends of one connection:
// each has one peer that is not removed, one of them has dialed, and messages
// pass both ways.
func awaitOneConnection(t *testing.T, c *cluster, a, b *switchNode) {
	t.Helper()
	c.await(t, "exactly one connection stays, on both ends", func() bool {
		atA, atB := a.Peers().Get(b.id()), b.Peers().Get(a.id())
		if atA == nil || atB == nil || atA.IsOutbound() == atB.IsOutbound() || !a.hasOne(b.id()) || !b.hasOne(a.id()) {
			return false
		}
		heardA, heardB := a.heardCrossed(b.id()), b.heardCrossed(a.id())
		if !heardB {
			atA.TrySend(ChannelA, []byte("crossed"))
		}
		if !heardA {
			atB.TrySend(ChannelA, []byte("crossed"))
		}

		return heardA && heardB
	})
}

func (n *switchNode) heardCrossed(from types.ID) bool {
	return n.log.has(func(e entry) bool { return e.what == received && e.id == from && e.msg == "crossed" })
}

// hasOne reports whether one connection of the ID has come and not gone.
func (n *switchNode) hasOne(id types.ID) bool {
	return n.log.count(initPeer, id)-n.log.count(removed, id) == 1
}
