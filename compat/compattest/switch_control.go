package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func controlPromises() []switchPromise {
	return []switchPromise{
		{"Control/RemovedIsNotRedialed", testControlRemoved},
		{"Control/RedialsAtOnce", testControlRedial},
		{"Control/AddedIsConnected", testControlAdded},
		{"Control/AddedBeforeStart", testControlBeforeStart},
		{"Control/NewAddressIsDialed", testControlMoved},
		{"Control/BlockedIsRefused", testControlBlocked},
		{"Control/UnblockedIsRedialed", testControlUnblocked},
	}
}

// control returns what configures the peers of the node while it runs. A switch need not have it.
func control(t *testing.T, n *switchNode) compat.PeerController {
	t.Helper()
	ctl, ok := n.SwitchNode.(compat.PeerController)
	if !ok {
		t.Skip("the peers of the switch cannot be configured while it runs")
	}

	return ctl
}

// ends returns how many dials of the ID have failed and how many of its peers have ended.
func (n *switchNode) ends(id types.ID) int {
	return n.log.count(failed, id) + n.log.count(disconnected, id)
}

// A peer that becomes persistent is dialed, and dialed again after a loss.
func testControlAdded(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	ctl := control(t, a)
	require.NoError(t, ctl.AddPersistentPeer(b.addr))
	awaitConnections(t, c, a, b, 1)
	peer := a.Peers().Get(b.id())
	require.NotNil(t, peer)
	require.True(t, peer.IsPersistent())
	b.StopPeerForError(b.Peers().Get(a.id()), errTest)
	awaitConnections(t, c, a, b, 2)
	c.exchange(t, a, b)
}

func testControlBeforeStart(t *testing.T, c *cluster) {
	a, b := c.node(t), c.started(t)
	require.NoError(t, control(t, a).AddPersistentPeer(b.addr))
	require.Zero(t, a.log.count(initPeer, b.id()))
	require.NoError(t, a.Start())
	awaitConnections(t, c, a, b, 1)
}

// A persistent peer at whose address nobody listens is dialed where it is said to be now.
func testControlMoved(t *testing.T, c *cluster) {
	b := c.started(t)
	nowhere := b.address()
	nowhere.Port = freePort(t)
	a := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{nowhere} })
	require.NoError(t, control(t, a).AddPersistentPeer(b.addr))
	awaitConnections(t, c, a, b, 1)
	c.exchange(t, a, b)
}

// The connection of a peer that is persistent no longer stays, and is not made again once it
// has ended. Another peer, lost after it, is redialed twice meanwhile, the second time later
// than this one would have been.
func testControlRemoved(t *testing.T, c *cluster) {
	b, other := c.started(t), c.started(t)
	a := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{b.address(), other.address()} })
	ctl := control(t, a)
	awaitConnections(t, c, a, b, 1)
	awaitConnections(t, c, a, other, 1)
	dials := a.log.count(initPeer, b.id()) + a.log.count(failed, b.id()) // the first may have been late

	require.True(t, ctl.RemovePersistentPeer(b.id()))
	require.False(t, ctl.RemovePersistentPeer(b.id()))
	require.False(t, ctl.Redial(b.id()))
	c.exchange(t, a, b)
	c.disconnect(t, b, a)
	for n := range 2 {
		connections := a.log.count(connected, other.id())
		other.StopPeerForError(other.Peers().Get(a.id()), errTest)
		c.await(t, "the other peer is redialed", func() bool {
			return a.log.count(connected, other.id()) > connections && other.log.count(connected, a.id()) > n+1
		})
	}
	requireStop(t, a)
	require.Equal(t, dials, a.log.count(initPeer, b.id())+a.log.count(failed, b.id()), "%s", a.log)
}

// Redial does not wait for the schedule. A node ends each connection with two persistent peers
// at once; the one that it redials outruns the other, which is left to the schedule.
func testControlRedial(t *testing.T, c *cluster) {
	const redials, lead = 8, 3
	b, other := c.started(t), c.started(t)
	var a *switchNode
	a = c.node(t, func(s *nodeSetup) {
		s.PersistentPeers = []*types.NetAddress{b.address(), other.address()}
		s.reactor.onAdd = func(p compat.PeerConn) { a.StopPeerForError(p, errTest) }
	})
	ctl := control(t, a)
	require.NoError(t, a.Start())
	c.await(t, "both peers are dialed", func() bool { return a.ends(b.id()) > 0 && a.ends(other.id()) > 0 })
	redialed := 0
	for range redials {
		ends := a.ends(b.id())
		if ctl.Redial(b.id()) { // false if the schedule has come first and its connection has not ended yet
			redialed++
		}
		c.await(t, "the peer is dialed again", func() bool { return a.ends(b.id()) > ends })
	}
	require.GreaterOrEqual(t, a.ends(b.id()), a.ends(other.id())+lead, "%s", a.log)
	require.Positive(t, redialed, "it outran the other, so not every dial was the schedule's")

	require.False(t, ctl.Redial(types.GenerateNodeKey().ID()), "it is not persistent")
}

// BlockPeer ends the connection of a peer, which is neither let in nor dialed then until it is
// unblocked.
func testControlBlocked(t *testing.T, c *cluster) {
	a, b, other := c.started(t), c.started(t), c.started(t)
	ctl := control(t, a)
	c.connect(t, b, a)
	require.NoError(t, ctl.BlockPeer(b.id()))
	require.Equal(t, []types.ID{b.id()}, ctl.BlockedPeers())
	c.awaitApart(t, a, b)
	requireBanned(t, a, b.id())

	c.dialRefused(t, b, a)
	a.DialPeers(b.address())
	c.connect(t, a, other)
	require.Error(t, ctl.AddPersistentPeer(b.addr))
	require.Equal(t, 1, a.log.count(initPeer, b.id()), "%s", a.log)

	require.True(t, ctl.UnblockPeer(b.id()))
	require.False(t, ctl.UnblockPeer(b.id()))
	require.Empty(t, ctl.BlockedPeers())
	c.connect(t, b, a)
	c.exchange(t, b, a)
}

// requireBanned checks for what reason the last connection with the ID has ended.
func requireBanned(t *testing.T, n *switchNode, id types.ID) {
	t.Helper()
	ends := n.log.all(func(e entry) bool { return e.what == disconnected && e.id == id })
	reason, ok := ends[len(ends)-1].reason.(error)
	require.True(t, ok)
	var reject *compat.RejectError
	require.ErrorAs(t, reason, &reject)
	require.Equal(t, compat.RejectBanned, reject.Code)
}

// dialRefused makes a dial b, and waits until nothing has come of it.
func (c *cluster) dialRefused(t *testing.T, a, b *switchNode) {
	t.Helper()
	refused := a.log.count(failed, b.id()) + a.log.count(removed, b.id())
	a.DialPeers(b.address())
	c.awaitRefused(t, a, b.id(), refused+1)
}

// A persistent peer may be blocked too, and is dialed once it is unblocked.
func testControlUnblocked(t *testing.T, c *cluster) {
	a, b := persistentPair(t, c)
	ctl := control(t, a)
	require.NoError(t, ctl.BlockPeer(b.id()))
	c.awaitApart(t, a, b)
	c.dialRefused(t, b, a)
	require.False(t, a.Peers().Has(b.id()))
	connections := a.log.count(connected, b.id())
	require.True(t, ctl.UnblockPeer(b.id()))
	c.await(t, "the peer is connected again", func() bool {
		return a.log.count(connected, b.id()) > connections && a.Peers().Has(b.id()) && b.Peers().Has(a.id())
	})
	c.exchange(t, a, b)
}
