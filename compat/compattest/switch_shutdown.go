package compattest

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func shutdownPromises() []switchPromise {
	return []switchPromise{
		{"Shutdown/WhileDialing", testStopWhileDialing},
		{"Shutdown/WithPeers", testStopWithPeers},
		{"Shutdown/Twice", testStopTwice},
		{"Shutdown/NothingFollows", testNothingFollowsStop},
		{"Shutdown/Restart", testRestart},
	}
}

// Stop ends dials that hang: over sockets at a listener that sends nothing, on other stacks
// at a node that does not accept.
func testStopWhileDialing(t *testing.T, c *cluster) {
	silent, unready := newSilentListener(t), c.node(t)
	n := c.started(t, func(s *nodeSetup) { s.PersistentPeers = silent.addresses(t, 2) })
	addrs := append(silent.addresses(t, 8), unready.address())
	n.DialPeers(addrs...)
	c.await(t, "a dial has begun, or failed where the stack has no sockets", func() bool {
		return silent.accepted() > 0 || len(n.log.kind(failed)) > 0
	})
	await(t, done(func() { requireStop(t, n) }), "Stop returns")
	silent.shut(t)
	await(t, silent.ended, "the connections that were being dialed are closed")
	require.Empty(t, n.log.all(func(e entry) bool { return e.what == addPeer && e.id != unready.id() }))
}

func testStopWithPeers(t *testing.T, c *cluster) {
	n := c.started(t, func(s *nodeSetup) { s.addReactor("second") })
	first, second, third := c.started(t), c.started(t), c.started(t)
	c.connect(t, n, first)
	c.connect(t, second, n)
	c.connect(t, n, third)
	c.connect(t, first, second)
	require.NoError(t, n.Stop())
	require.False(t, n.IsRunning())
	await(t, n.Quit(), "a stopped switch quits")
	require.Empty(t, n.Peers().List())
	removals, stops := 0, 0
	for _, e := range n.log.all(func(e entry) bool { return e.what == removed || e.what == stopped }) {
		if e.what == stopped {
			stops++

			continue
		}
		removals++
		require.Zero(t, stops, "peers are removed before the reactors stop")
	}
	require.Equal(t, 6, removals)
	require.Equal(t, 2, stops)
	require.Len(t, n.log.kind(disconnected), 3)
	for _, peer := range []*switchNode{first, second, third} {
		c.awaitApart(t, n, peer)
	}
	c.exchange(t, first, second)
}

func testStopTwice(t *testing.T, c *cluster) {
	n := c.node(t)
	require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
	require.NoError(t, n.Start())
	require.ErrorIs(t, n.Start(), service.ErrAlreadyStarted)
	require.NoError(t, n.Stop())
	require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
	require.Len(t, n.log.kind(started), 1)
	require.Len(t, n.log.kind(stopped), 1)
}

// After Stop has returned, no reactor is called, although messages were under way and other
// nodes go on dialing.
func testNothingFollowsStop(t *testing.T, c *cluster) {
	const messages = 20 // few, since on a busy machine each turn that Receive gives away may take some ms

	var inside, outside atomic.Int64 // calls of Receive that have begun and ended
	n := c.started(t, func(s *nodeSetup) {
		s.reactor.quiet = true
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			inside.Add(1)
			c.grown()
			for range 20 { // so that Stop is called while it runs
				runtime.Gosched()
			}
			outside.Add(1)
		}
	})
	var dialers []*switchNode
	var waits []func()
	for range 3 {
		dialer := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{n.address()} })
		awaitConnections(t, c, dialer, n, 1)
		waits = append(waits, flood(dialer.Peers().Get(n.id()), math.MaxInt))
		dialers = append(dialers, dialer)
	}
	c.awaitCount(t, "messages are received", &inside, messages)
	require.NoError(t, n.Stop())
	entries, calls := n.log.len(), inside.Load()
	require.Equal(t, calls, outside.Load(), "calls of Receive that have ended when Stop has")

	n.Broadcast(ChannelA, []byte("nobody hears it"))
	n.DialPeers(dialers[0].address())
	for i, dialer := range dialers {
		waits[i]()
		c.awaitApart(t, dialer, n)
	}
	n.release()
	require.Equal(t, calls, inside.Load(), "messages received after Stop")
	require.Equal(t, entries, n.log.len(), "%s", n.log)
}

// A persistent peer that restarts at its address with a new switch is connected again.
func testRestart(t *testing.T, c *cluster) {
	spec := fixedIdentity(t)
	b := c.nodeOf(t, spec)
	require.NoError(t, b.Start())
	a := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{b.address()} })
	awaitConnections(t, c, a, b, 1)
	former := a.Peers().Get(b.id())
	former.Set("key", "value")
	require.NoError(t, b.Stop())
	b.release()
	c.await(t, "the peer is removed", func() bool { return a.without(b.id()) })

	again := c.nodeOf(t, spec)
	require.Equal(t, b.addr.DialString(), again.addr.DialString())
	require.NoError(t, again.Start())
	awaitConnections(t, c, again, a, 1)
	c.await(t, "the peer is back", func() bool { return a.log.count(connected, b.id()) > 1 })
	peer := a.Peers().Get(b.id())
	require.NotSame(t, former, peer)
	require.Nil(t, peer.Get("key"))
	c.exchange(t, a, again)
}
