package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func limitsPromises() []switchPromise {
	return []switchPromise{
		{"Limits/Inbound", testInboundLimit},
		{"Limits/Outbound", testOutboundLimit},
		{"Limits/SlotIsFreed", testSlotIsFreed},
		{"Limits/PersistentInboundExempt", testPersistentInbound},
		{"Limits/PersistentOutboundExempt", testPersistentOutbound},
		{"Limits/DuplicateIPRefused", testDuplicateIPRefused},
		{"Limits/DuplicateIPAllowed", testDuplicateIPAllowed},
	}
}

// mostPeers returns the largest number of peers that the node has had at a time.
func mostPeers(n *switchNode) (most int) {
	live := make(map[compat.PeerConn]bool)
	for _, e := range n.log.all(func(e entry) bool { return e.what == addPeer || e.what == removePeer }) {
		if e.what == removePeer {
			delete(live, e.peer)

			continue
		}
		live[e.peer] = true
		most = max(most, len(live))
	}

	return most
}

// More nodes dial at the same time than there are slots. The excess is refused, and those
// connections end on both ends.
func testInboundLimit(t *testing.T, c *cluster) {
	const slots, dialers = 2, 5
	n := c.started(t, func(s *nodeSetup) { s.MaxInboundPeers = slots })
	var nodes []*switchNode
	for range dialers {
		nodes = append(nodes, c.started(t))
	}
	for _, dialer := range nodes {
		dialer.DialPeers(n.address())
	}
	dials := 1 // of each node
	c.await(t, "the slots are taken and all others are refused", func() bool {
		in, refused := 0, 0
		for _, dialer := range nodes {
			switch {
			case n.Peers().Has(dialer.id()) && n.log.count(connected, dialer.id()) > 0:
				if dialer.Peers().Has(n.id()) && dialer.log.count(connected, n.id()) > 0 {
					in++
				}
			case dialer.without(n.id()) && dialer.log.count(failed, n.id())+dialer.log.count(removed, n.id()) >= dials:
				refused++
			}
		}
		if in+refused == dialers && in < slots && dials < maxDials {
			t.Logf("%d of %d slots are free: a dial was late", slots-in, slots)
			dials++                        // what comes of each is noted once more
			for _, dialer := range nodes { // nothing comes of it where they are connected
				dialer.DialPeers(n.address())
			}
		}

		return in == slots && refused == dialers-slots
	})
	require.EqualValues(t, slots, n.Peers().NumInbound())
	for _, dialer := range nodes {
		if n.Peers().Has(dialer.id()) {
			c.exchange(t, dialer, n)

			continue
		}
		c.awaitApart(t, dialer, n)
		require.Zero(t, n.log.count(addPeer, dialer.id()))
	}
	require.NoError(t, n.Stop())
	if dials == 1 {
		require.Len(t, n.log.kind(addPeer), slots)
	}
	require.Equal(t, slots, mostPeers(n))
}

func testOutboundLimit(t *testing.T, c *cluster) {
	const slots, targets, rounds = 2, 5, 3
	n := c.started(t, func(s *nodeSetup) { s.MaxOutboundPeers = slots })
	var nodes []*switchNode
	var addrs []*types.NetAddress
	for range targets {
		nodes = append(nodes, c.started(t))
		addrs = append(addrs, nodes[len(nodes)-1].address())
	}
	for round := range rounds {
		n.DialPeers(addrs...)
		c.await(t, "the slots are taken", func() bool { return n.Peers().NumOutbound() == slots })
		c.await(t, "connections beyond the limit end", func() bool {
			for _, target := range nodes {
				if !n.Peers().Has(target.id()) && !target.without(n.id()) {
					return false
				}
			}

			return true
		})
		if round == rounds-1 {
			break
		}
		for _, target := range nodes {
			if peer := n.Peers().Get(target.id()); peer != nil {
				n.StopPeerForError(peer, errTest)
				c.awaitApart(t, n, target)
			}
		}
	}
	require.NoError(t, n.Stop())
	require.LessOrEqual(t, mostPeers(n), slots)
}

// A node that is refused for lack of slots is admitted after a peer is removed.
func testSlotIsFreed(t *testing.T, c *cluster) {
	n := c.started(t, func(s *nodeSetup) { s.MaxInboundPeers = 1 })
	first := c.started(t)
	c.connect(t, first, n)
	second := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{n.address()} })
	c.awaitRefused(t, second, n.id(), 1)
	require.Zero(t, n.log.count(addPeer, second.id()))
	c.disconnect(t, n, first)
	c.await(t, "the slot is taken again", func() bool { return n.log.count(connected, second.id()) > 0 })
	require.Equal(t, 1, mostPeers(n))
}

// A persistent peer is admitted although the only slot is taken. It dials us, since its
// configured address cannot be dialed.
func testPersistentInbound(t *testing.T, c *cluster) {
	friend := c.started(t)
	n := c.started(t, func(s *nodeSetup) {
		s.MaxInboundPeers = 1
		elsewhere := friend.address()
		elsewhere.Port = freePort(t)
		s.PersistentPeers = []*types.NetAddress{elsewhere}
	})
	first, second := c.started(t), c.started(t)
	c.connect(t, first, n)
	c.connect(t, friend, n)
	second.DialPeers(n.address())
	c.awaitRefused(t, second, n.id(), 1)
	c.exchange(t, first, n)
	require.NoError(t, n.Stop())
	require.Zero(t, n.log.count(addPeer, second.id()))
}

func testPersistentOutbound(t *testing.T, c *cluster) {
	var addrs []*types.NetAddress
	for range 3 {
		addrs = append(addrs, c.started(t).address())
	}
	n := c.started(t, func(s *nodeSetup) {
		s.MaxOutboundPeers = 1
		s.PersistentPeers = addrs
	})
	c.await(t, "all persistent peers are connected", func() bool { return n.Peers().NumOutbound() == 3 })
}

func testDuplicateIPRefused(t *testing.T, c *cluster) {
	n := c.started(t, func(s *nodeSetup) { s.AllowDuplicateIP = false })
	first := c.started(t)
	c.connect(t, first, n)
	second := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{n.address()} })
	c.awaitRefused(t, second, n.id(), 1)
	require.Zero(t, n.log.count(addPeer, second.id()))
	c.exchange(t, first, n)
	c.disconnect(t, n, first)
	c.await(t, "the next one is let in", func() bool { return n.log.count(connected, second.id()) > 0 })
	require.Equal(t, 1, mostPeers(n))
}

func testDuplicateIPAllowed(t *testing.T, c *cluster) {
	n := c.started(t, func(s *nodeSetup) { s.AllowDuplicateIP = true })
	for range 3 {
		c.connect(t, c.started(t), n)
	}
	require.EqualValues(t, 3, n.Peers().NumInbound())
}
