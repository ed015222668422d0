package compattest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func broadcastPromises() []switchPromise {
	return []switchPromise{
		{"Broadcast/ReachesPeersWithTheChannel", testBroadcastReaches},
		{"Broadcast/WithoutPeers", testBroadcastWithoutPeers},
		{"Broadcast/KeepsOrder", testBroadcastOrder},
		{"Broadcast/NotBlockedByStuckPeer", testBroadcastStuckPeer},
		{"Broadcast/NotInline", testBroadcastNotInline},
	}
}

func testBroadcastReaches(t *testing.T, c *cluster) {
	n, a, b := c.started(t), c.started(t), c.started(t)
	lacking := c.started(t, func(s *nodeSetup) {
		s.Info.Channels = []byte{ChannelA}
		s.reactor.listenOn(ChannelA)
	})
	c.connect(t, n, a)
	c.connect(t, b, n)
	c.connect(t, n, lacking)
	n.Broadcast(ChannelB, []byte("for two"))
	n.Broadcast(ChannelA, []byte("for three"))
	for _, peer := range []*switchNode{a, b, lacking} {
		want := []string{"for three"}
		if peer != lacking {
			want = []string{"for three", "for two"}
		}
		c.await(t, "the broadcast is received", func() bool { return len(peer.log.kind(received)) >= len(want) })
	}
	for _, peer := range []*switchNode{a, b, lacking} {
		c.exchange(t, n, peer)
	}
	for _, peer := range []*switchNode{a, b} {
		require.Len(t, receipts(peer, "for two"), 1)
		require.Equal(t, ChannelB, receipts(peer, "for two")[0].channel)
	}
	for _, peer := range []*switchNode{a, b, lacking} {
		require.Len(t, receipts(peer, "for three"), 1)
	}
	require.Empty(t, receipts(lacking, "for two"))
	require.Zero(t, n.log.count(disconnected, lacking.id()))
}

func receipts(n *switchNode, msg string) []entry {
	return n.log.all(func(e entry) bool { return e.what == received && e.msg == msg })
}

func testBroadcastWithoutPeers(t *testing.T, c *cluster) {
	a, b := c.node(t), c.started(t)
	a.Broadcast(ChannelA, []byte("before the start"))
	require.NoError(t, a.Start())
	a.Broadcast(ChannelA, []byte("without peers"))
	c.connect(t, a, b)
	a.Broadcast(0xee, []byte("on an unknown channel"))
	c.exchange(t, a, b)
	require.Len(t, b.log.kind(received), 1, "only the last message")
}

// 2000 messages on each channel arrive in order: more than a queue holds, but never so many
// at a time that a bounded queue overflows.
func testBroadcastOrder(t *testing.T, c *cluster) {
	const messages, ahead = 2000, 400
	nodes := []*switchNode{c.started(t)}
	var sequences []*sequence
	for range 2 {
		seq := newSequence(c)
		sequences = append(sequences, seq)
		nodes = append(nodes, c.started(t, seq.install))
	}
	c.connect(t, nodes[0], nodes[1])
	c.connect(t, nodes[2], nodes[0])
	for i := range uint64(messages) {
		for _, ch := range []byte{ChannelA, ChannelB} {
			nodes[0].Broadcast(ch, numbered(i, 64))
			for _, seq := range sequences {
				if i%100 == 0 && i >= ahead {
					c.await(t, "earlier broadcasts are received", func() bool { return seq.got(ch) > i-ahead })
				}
			}
		}
	}
	for _, seq := range sequences {
		for _, ch := range []byte{ChannelA, ChannelB} {
			c.await(t, "all broadcasts are received", func() bool { return seq.got(ch) >= messages })
		}
		seq.requireNoGap(t)
	}
}

// While the Receive of one peer is blocked, more is broadcast than its connection holds.
// Broadcast returns, and the other peer gets all messages.
func testBroadcastStuckPeer(t *testing.T, c *cluster) {
	const messages, size = 256, 32 << 10
	stuck, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	var once sync.Once
	var got atomic.Int64
	n := c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.quiet = true
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			once.Do(func() { close(stuck) })
			<-held
		}
	})
	other := c.started(t, func(s *nodeSetup) {
		s.reactor.quiet = true
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			if got.Add(1) > messages {
				c.grown()
			}
		}
	})
	c.connect(t, n, b)
	c.connect(t, n, other)
	n.Broadcast(ChannelA, []byte("first"))
	await(t, stuck, "the peer is stuck")
	payload := bytes.Repeat([]byte{1}, size)
	await(t, done(func() {
		for range messages {
			n.Broadcast(ChannelA, payload)
		}
	}), fmt.Sprintf("%d broadcasts return while a peer is stuck", messages))
	c.await(t, "the other peer gets all broadcasts", func() bool { return got.Load() == messages+1 })
	require.Zero(t, n.log.count(disconnected, other.id()))
}

// Broadcast may be called with a lock that Receive takes, as consensus does.
func testBroadcastNotInline(t *testing.T, c *cluster) {
	var lock sync.Mutex
	a := c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			lock.Lock()
			defer lock.Unlock()
		}
	})
	c.connect(t, a, b)
	await(t, done(func() {
		lock.Lock()
		defer lock.Unlock()
		for range 50 {
			a.Broadcast(ChannelA, []byte("x"))
		}
	}), "Broadcast returns while the lock is held")
	c.await(t, "the broadcasts are received", func() bool { return len(b.log.kind(received)) == 50 })
}
