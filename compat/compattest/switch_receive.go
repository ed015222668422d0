package compattest

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func receivePromises() []switchPromise {
	return []switchPromise{
		{"Receive/NoneAfterRemovePeer", testNoneAfterRemovePeer},
		{"Receive/OneAtATime", testOneAtATime},
		{"Receive/PeersInParallel", testPeersInParallel},
		{"Receive/NeverEmpty", testNeverEmpty},
	}
}

// flood sends on both channels, at most so many messages on each, until Send returns false. The
// returned function waits for that.
func flood(peer compat.PeerConn, most int) (wait func()) {
	var wg sync.WaitGroup
	for _, ch := range []byte{ChannelA, ChannelB} {
		wg.Go(func() {
			for sent := 0; sent < most && peer.Send(ch, []byte("one of many")); sent++ {
			}
		})
	}

	return wg.Wait
}

// No Receive follows RemovePeer, although peers are stopped by either end, and from within
// Receive, while many messages are under way.
func testNoneAfterRemovePeer(t *testing.T, c *cluster) {
	const rounds, messages = 24, 50
	var (
		gone       sync.Map // the peers of all RemovePeer calls
		delivered  atomic.Int64
		late       atomic.Int64
		stopWithin atomic.Bool // the next Receive stops the peer
		b          *switchNode
	)
	a := c.started(t)
	b = c.started(t, func(s *nodeSetup) {
		s.reactor.quiet = true
		s.reactor.onRemove = func(p compat.PeerConn) { gone.Store(p, true) }
		s.reactor.onReceive = func(_ byte, p compat.PeerConn, _ []byte) {
			if _, removed := gone.Load(p); removed {
				late.Add(1)
			}
			if delivered.Add(1)%messages == 0 {
				c.grown()
			}
			if stopWithin.CompareAndSwap(true, false) {
				b.StopPeerForError(p, errTest)
			}
		}
	})
	stops := []func(atA, atB compat.PeerConn){
		func(atA, _ compat.PeerConn) { a.StopPeerForError(atA, errTest) },
		func(_, atB compat.PeerConn) { b.StopPeerForError(atB, errTest) },
		func(_, _ compat.PeerConn) { stopWithin.Store(true) },
	}
	for round := range rounds {
		atA, atB := c.connect(t, a, b)
		before := delivered.Load()
		wait := flood(atA, math.MaxInt)
		c.await(t, "messages are received", func() bool { return delivered.Load() >= before+messages })
		stops[round%len(stops)](atA, atB)
		c.awaitApart(t, a, b)
		wait()
	}
	require.NoError(t, b.Stop())
	require.Zero(t, late.Load(), "messages received after RemovePeer, of %d", delivered.Load())
}

func testOneAtATime(t *testing.T, c *cluster) {
	const messages = 300
	var inside, overlaps, delivered atomic.Int64
	a := c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.quiet = true
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			if inside.Add(1) != 1 {
				overlaps.Add(1)
			}
			runtime.Gosched()
			inside.Add(-1)
			if delivered.Add(1)%(messages/10) == 0 {
				c.grown()
			}
		}
	})
	atA, _ := c.connect(t, a, b)
	// Not more than a busy machine receives in a moment: the end comes after what is under way.
	wait := flood(atA, messages)
	c.awaitCount(t, "messages are received", &delivered, messages)
	c.disconnect(t, a, b)
	wait()
	require.Zero(t, overlaps.Load(), "calls of Receive that overlap")
}

// The Receive calls of two peers run concurrently: each waits for the other.
func testPeersInParallel(t *testing.T, c *cluster) {
	a, other := c.started(t), c.started(t)
	both, hung := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(hung) })
	defer release()
	var inside atomic.Int64
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			if inside.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-hung:
			}
		}
	})
	for _, n := range []*switchNode{a, other} {
		peer, _ := c.connect(t, n, b)
		require.True(t, peer.Send(ChannelA, []byte("x")))
	}
	await(t, both, "two peers are in Receive")
}

func testNeverEmpty(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	peer := a.Peers().Get(b.id())
	for _, empty := range [][]byte{nil, {}} {
		require.False(t, peer.Send(ChannelA, empty))
		require.False(t, peer.TrySend(ChannelA, empty))
		a.Broadcast(ChannelA, empty)
	}
	require.True(t, peer.Send(ChannelA, []byte("last")))
	c.await(t, "the message is received", func() bool { return len(b.log.kind(received)) > 0 })
	require.Equal(t, "last", b.log.kind(received)[0].msg)
	c.exchange(t, a, b)
}
