package compattest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// orderPromises cover the order and the content of messages.
func (s transportSuite) orderPromises() []promiseCase {
	return []promiseCase{
		{"Order/PerChannel", s.orderPerChannel},
		{"Order/ConcurrentSenders", s.orderConcurrentSenders},
		{"Size/Capacity", s.sizeCapacity},
		{"Size/AboveCapacity", s.sizeAboveCapacity},
		{"Slice/OutgoingIsShared", s.sliceOutgoingIsShared},
		{"Slice/IncomingCopyStays", s.sliceIncomingCopyStays},
	}
}

// mixed returns n messages of one byte to the capacity: sizes around the ends of the
// stacks' packets, frames and buffers, and random ones.
func mixed(seed uint64, n, capacity int) [][]byte {
	edges := []int{1, 2, 1023, 1024, 1025, 4095, 4096, 8191, 8193, 65535, capacity - 1, capacity}
	rng := rand.New(rand.NewPCG(seed, 0))
	msgs := make([][]byte, n)
	for i := range msgs {
		size := 1 + rng.IntN(4096)
		if i < len(edges) {
			size = min(edges[i], capacity)
		}
		msgs[i] = noise(int(seed)+i, size)
	}

	return msgs
}

// sendAtLast sends a message to a peer that reads, and tries three times: on a busy machine one Send may
// find the queue full for as long as it waits.
func sendAtLast(p compat.PeerConn, chID byte, msg []byte) bool {
	for range 3 {
		if p.Send(chID, msg) {
			return true
		}
	}

	return false
}

// Both ends send on both channels at once.
func (s transportSuite) orderPerChannel(t *testing.T) {
	seed := rand.Uint64N(1 << 32)
	t.Log("seed", seed)
	l := s.running(t)
	want := map[byte][][]byte{
		ChannelA: mixed(seed, 300, smallCapacity),
		ChannelB: mixed(seed+1000, 50, bulkCapacity),
	}
	var wg sync.WaitGroup
	for _, dir := range []*link{l, l.turned()} {
		for chID, msgs := range want {
			wg.Go(func() {
				for i, msg := range msgs {
					if !sendAtLast(dir.out, chID, msg) {
						t.Errorf("message %d on channel %#02x was refused", i, chID)

						return
					}
				}
			})
		}
	}
	wg.Wait()
	require.False(t, t.Failed())
	for _, dir := range []*link{l, l.turned()} {
		for chID, msgs := range want {
			requireSame(t, msgs, dir.b.awaitCount(t, dir.in, chID, len(msgs)))
		}
	}
}

// The messages of each sender arrive in order although others send concurrently.
func (s transportSuite) orderConcurrentSenders(t *testing.T) {
	const senders, each = 4, 100
	l := s.running(t)
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range each {
				if !sendAtLast(l.out, ChannelA, fmt.Appendf(nil, "%d %d", sender, i)) {
					t.Errorf("message %d of sender %d was refused", i, sender)

					return
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	next := make(map[int]int)
	for _, msg := range l.b.awaitCount(t, l.in, ChannelA, senders*each) {
		var sender, i int
		_, err := fmt.Sscanf(string(msg), "%d %d", &sender, &i)
		require.NoError(t, err)
		require.Equal(t, next[sender], i, "sender %d", sender)
		next[sender]++
	}
}

func (s transportSuite) sizeCapacity(t *testing.T) {
	l := s.running(t)
	for _, dir := range []*link{l, l.turned()} {
		for chID, capacity := range map[byte]int{ChannelA: smallCapacity, ChannelB: bulkCapacity} {
			msg := noise(0, capacity)
			require.True(t, dir.out.Send(chID, msg))
			requireSame(t, [][]byte{msg}, dir.b.awaitCount(t, dir.in, chID, 1))
		}
	}
}

func (s transportSuite) sizeAboveCapacity(t *testing.T) {
	for chID, capacity := range map[byte]int{ChannelA: smallCapacity, ChannelB: bulkCapacity} {
		l := s.running(t)
		require.True(t, l.out.Send(chID, []byte("fits")))
		require.True(t, l.out.Send(chID, make([]byte, capacity+1)))
		l.b.awaitFailure(t, l.in)
		l.a.awaitFailure(t, l.out)
		require.Len(t, l.b.awaitCount(t, l.in, chID, 1), 1, "the message was delivered")
	}
}

// The same slice is sent to several peers and channels, and no stack changes it.
func (s transportSuite) sliceOutgoingIsShared(t *testing.T) {
	a, b := s.endpoints(t, nil)
	links := []*link{connectEnds(t, a, b), connectEnds(t, b, a).turned()}
	msg := noise(0, smallCapacity)
	shared := bytes.Clone(msg)
	for _, l := range links {
		l.start(t)
		for _, chID := range []byte{ChannelA, ChannelB} {
			require.True(t, l.out.Send(chID, shared))
			require.True(t, l.out.Send(chID, shared))
		}
	}
	for _, l := range links {
		for _, chID := range []byte{ChannelA, ChannelB} {
			requireSame(t, [][]byte{msg, msg}, b.awaitCount(t, l.in, chID, 2))
		}
	}
	require.Equal(t, msg, shared)
}

// The stack may reuse the slice only after Receive has returned. A copy made in Receive
// does not change, however many messages follow.
func (s transportSuite) sliceIncomingCopyStays(t *testing.T) {
	l := s.connected(t)
	var copies [][]byte // only Receive uses it, one call at a time
	l.b.reactor.hook = func(_ byte, _ compat.PeerConn, msg []byte) { copies = append(copies, bytes.Clone(msg)) }
	l.start(t)
	want := noises(200, 3000)
	for _, msg := range want {
		require.True(t, l.out.Send(ChannelA, msg))
	}
	requireSame(t, want, l.b.awaitCount(t, l.in, ChannelA, len(want)))
	l.b.await(t, "the end of the last Receive", func() bool { return l.b.inside[l.in] == 0 })
	requireSame(t, want, copies)
	_, spoiled := l.b.misdelivered()
	require.Zero(t, spoiled, "messages changed before Receive has returned")
}
