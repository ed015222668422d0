package compattest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func stopPeerPromises() []switchPromise {
	return []switchPromise{
		{"StopPeer/BothEnds", testStopBothEnds},
		{"StopPeer/FromReceive", testStopFromReceive},
		{"StopPeer/FromAddPeer", testStopFromAddPeer},
		{"StopPeer/ConcurrentAndRepeated", testStopConcurrently},
		{"StopPeer/FormerConnection", testStopFormer},
		{"StopPeer/PeerOfAnotherSwitch", testStopForeign},
		{"StopPeer/Nil", testStopNil},
	}
}

// StopPeerForError on either end tears down both.
func testStopBothEnds(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	for _, stopper := range []*switchNode{a, b} {
		atA, atB := c.connect(t, a, b)
		stopped := atA
		if stopper == b {
			stopped = atB
		}
		stopper.StopPeerForError(stopped, errTest)
		require.False(t, stopped.IsRunning())
		c.awaitApart(t, a, b)
		for _, p := range []compat.PeerConn{atA, atB} {
			requireQuit(t, p)
			require.False(t, p.Send(ChannelA, []byte("x")))
		}
	}
}

func testStopFromReceive(t *testing.T, c *cluster) {
	a := c.started(t)
	returned := make(chan bool, 1)
	var b *switchNode
	b = c.started(t, func(s *nodeSetup) {
		s.reactor.onReceive = func(_ byte, p compat.PeerConn, _ []byte) {
			b.StopPeerForError(p, errTest)
			returned <- p.IsRunning()
		}
	})
	peer, _ := c.connect(t, a, b)
	require.True(t, peer.Send(ChannelA, []byte("x")))
	require.False(t, await(t, returned, "StopPeerForError returns"), "the peer runs")
	c.awaitApart(t, a, b)
	require.Equal(t, 1, b.log.count(removed, a.id()))
}

func testStopFromAddPeer(t *testing.T, c *cluster) {
	a, other := c.started(t), c.started(t)
	var b *switchNode
	b = c.started(t, func(s *nodeSetup) {
		s.reactor.onAdd = func(p compat.PeerConn) {
			if p.ID() == a.id() {
				b.StopPeerForError(p, errTest)
			}
		}
	})
	again := c.repeatHangUpsUnless(t, a, b, 0, func() bool { return b.log.count(initPeer, a.id()) > 0 }) // it stops the peer
	a.DialPeers(b.address())
	c.await(t, "the peer is removed", func() bool {
		again()

		return b.log.count(removed, a.id()) > 0 && b.without(a.id())
	})
	c.awaitRefused(t, a, b.id(), 1)
	c.connect(t, other, b)
	c.exchange(t, other, b)
	require.NoError(t, b.Stop())
	require.Equal(t, 1, b.log.count(addPeer, a.id()))
	require.Equal(t, 1, b.log.count(removed, a.id()))
}

func testStopConcurrently(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	peer, _ := c.connect(t, a, b)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 4 {
				a.StopPeerForError(peer, errTest)
			}
		})
	}
	wg.Wait()
	c.awaitApart(t, a, b)
	a.StopPeerForError(peer, errors.New("once more"))
	require.NoError(t, a.Stop())
	require.Equal(t, 1, a.log.count(removed, b.id()))
	require.Equal(t, 1, a.log.count(disconnected, b.id()))
}

// Stopping a former connection of a peer does not stop its current one.
func testStopFormer(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	former, _ := c.connect(t, a, b)
	c.disconnect(t, a, b)
	peer, _ := c.connect(t, a, b)
	require.NotSame(t, former, peer)
	a.StopPeerForError(former, errTest)
	c.exchange(t, a, b)
	require.Same(t, peer, a.Peers().Get(b.id()))
	require.Equal(t, 1, a.log.count(removed, b.id()))
}

func testStopForeign(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	stranger := c.started(t)
	stranger.StopPeerForError(a.Peers().Get(b.id()), errTest)
	c.exchange(t, a, b)
	require.NoError(t, stranger.Stop())
	require.Empty(t, stranger.log.kind(removePeer))
}

func testStopNil(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	a.StopPeerForError(nil, errTest)
	c.exchange(t, a, b)
}
