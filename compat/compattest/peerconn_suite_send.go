package compattest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// unknownChannel is a channel that no node has.
const unknownChannel byte = 0x77

// boundedBytes is far more than a sender can send while the remote's Receive is blocked:
// the content of its queue, of both sockets, and of the 20 MiB that a node buffers.
const boundedBytes = 64 << 20

// sendPromises cover what Send and TrySend return, and when.
func (s transportSuite) sendPromises() []promiseCase {
	return []promiseCase{
		{"Send/BackPressure", s.sendBackPressure},
		{"Send/Delivers", s.sendDelivers},
		{"Send/Empty", s.sendEmpty},
		{"Send/UnknownChannel", s.sendUnknownChannel},
		{"Send/BeforeStart", s.sendBeforeStart},
		{"Send/AfterStop", s.sendAfterStop},
		{"Send/AfterRemoteEnded", s.sendAfterRemoteEnded},
		{"Send/EndsWithStop", s.sendEndsWithStop},
		{"TrySend/FullAndAgain", s.trySendFullAndAgain},
	}
}

// sends returns Send and TrySend by name.
func sends(peer compat.PeerConn) map[string]func(chID byte, msg []byte) bool {
	return map[string]func(byte, []byte) bool{"Send": peer.Send, "TrySend": peer.TrySend}
}

// requireRefused requires that Send and TrySend return false without waiting.
func requireRefused(t *testing.T, peer compat.PeerConn, chID byte, msg []byte) {
	t.Helper()
	for name, send := range sends(peer) {
		begin := time.Now()
		require.False(t, send(chID, msg), name)
		require.Less(t, time.Since(begin), compat.SendTimeout, "%s has waited", name)
	}
}

func (s transportSuite) sendDelivers(t *testing.T) {
	l := s.running(t)
	for _, dir := range []*link{l, l.turned()} {
		require.True(t, dir.out.Send(ChannelA, []byte("sent")))
		require.True(t, dir.out.TrySend(ChannelB, []byte("tried")))
		require.Equal(t, "sent", string(dir.b.awaitCount(t, dir.in, ChannelA, 1)[0]))
		require.Equal(t, "tried", string(dir.b.awaitCount(t, dir.in, ChannelB, 1)[0]))
	}
}

func (s transportSuite) sendEmpty(t *testing.T) {
	l := s.running(t)
	requireRefused(t, l.out, ChannelA, nil)
	requireRefused(t, l.out, ChannelA, []byte{})
	l.works(t)
	require.Equal(t, 1, l.b.count(l.in, ChannelA))
}

// Send refuses a channel that is not in the remote's NodeInfo.
func (s transportSuite) sendUnknownChannel(t *testing.T) {
	a, b := s.endpoints(t, func(_, b *Spec) { b.Info.Channels = []byte{ChannelA} })
	l := connectEnds(t, a, b)
	l.start(t)
	requireRefused(t, l.out, ChannelB, []byte("the remote lacks it"))
	requireRefused(t, l.in, ChannelB, []byte("this side lacks it"))
	requireRefused(t, l.out, unknownChannel, []byte("both lack it"))
	l.works(t)
}

func (s transportSuite) sendBeforeStart(t *testing.T) {
	l := s.connected(t)
	requireRefused(t, l.out, ChannelA, []byte("early"))
	requireRefused(t, l.in, ChannelA, []byte("early"))
	l.start(t)
	l.works(t)
	require.Equal(t, 1, l.b.count(l.in, ChannelA))
}

func (s transportSuite) sendAfterStop(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.out.Stop())
	requireRefused(t, l.out, ChannelA, []byte("late"))
}

func (s transportSuite) sendAfterRemoteEnded(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.out.Stop())
	l.b.awaitFailure(t, l.in)
	requireRefused(t, l.in, ChannelA, []byte("late"))
}

// The remote's Receive is blocked, so that most senders wait when the peer stops.
func (s transportSuite) sendEndsWithStop(t *testing.T) {
	l := s.connected(t)
	l.b.hold(t)
	l.start(t)
	fill(t, l.out)

	const senders = 3 * bulkQueue
	var begun, ended sync.WaitGroup
	begun.Add(senders)
	msg := make([]byte, bulkCapacity)
	for range senders {
		ended.Go(func() {
			begun.Done()
			l.out.Send(ChannelB, msg)
		})
	}
	begun.Wait()
	begin := time.Now()
	require.NoError(t, l.out.Stop())
	returnsInTime(t, "Send of a stopped peer", ended.Wait)
	require.Less(t, time.Since(begin), compat.SendTimeout, "Send has waited although the peer was stopped")
}

// fill queues more on ChannelB than the network takes while the remote's Receive is
// blocked.
func fill(t *testing.T, peer compat.PeerConn) {
	t.Helper()
	for range bulkQueue {
		require.True(t, peer.TrySend(ChannelB, make([]byte, bulkCapacity)))
	}
}

// A blocked Receive blocks the sender once the buffers are full. When it goes on, all
// accepted messages arrive, and no refused one does.
func (s transportSuite) sendBackPressure(t *testing.T) {
	l := s.connected(t)
	release := l.b.hold(t)
	l.start(t)

	var want [][]byte
	next := func() []byte { return noise(len(want), smallCapacity) }
	var waited time.Duration
	for accepted := true; accepted; {
		msg := next()
		begin := time.Now()
		if accepted = l.out.Send(ChannelA, msg); accepted {
			want = append(want, msg)
		}
		waited = time.Since(begin)
		require.Less(t, len(want)*smallCapacity, boundedBytes, "the sender is not held up")
	}
	require.GreaterOrEqual(t, len(want), smallQueue)
	require.GreaterOrEqual(t, waited, compat.SendTimeout-time.Millisecond, "Send gave up early")
	require.True(t, l.out.IsRunning(), "a full queue is no failure")

	begin := time.Now()
	require.False(t, l.out.TrySend(ChannelA, next()))
	require.Less(t, time.Since(begin), compat.SendTimeout, "TrySend has waited")
	sent := make(chan bool, 1)
	last := next()
	go func() { sent <- l.out.Send(ChannelA, last) }()
	release()
	var ok bool
	returnsInTime(t, "Send", func() { ok = <-sent })
	require.True(t, ok, "there is room again")
	want = append(want, last)
	requireSame(t, want, l.b.awaitCount(t, l.in, ChannelA, len(want)))
	l.works(t)
	require.Equal(t, len(want)+1, l.b.count(l.in, ChannelA))
}

func (s transportSuite) trySendFullAndAgain(t *testing.T) {
	l := s.connected(t)
	release := l.b.hold(t)
	l.start(t)

	begin := time.Now()
	var want [][]byte
	for {
		msg := noise(len(want), smallCapacity)
		if !l.out.TrySend(ChannelA, msg) {
			break
		}
		want = append(want, msg)
		require.Less(t, len(want)*smallCapacity, boundedBytes, "the queue is never full")
	}
	require.Less(t, time.Since(begin), compat.SendTimeout, "TrySend has waited")
	require.GreaterOrEqual(t, len(want), smallQueue)
	release()
	requireSame(t, want, l.b.awaitCount(t, l.in, ChannelA, len(want)))
	require.True(t, l.out.TrySend(ChannelA, []byte("again")))
	got := l.b.awaitCount(t, l.in, ChannelA, len(want)+1)
	require.Equal(t, "again", string(got[len(want)]))
}

// noises returns n different messages of the size.
func noises(n, size int) [][]byte {
	msgs := make([][]byte, n)
	for i := range msgs {
		msgs[i] = noise(i, size)
	}

	return msgs
}

// noise returns random message i, of the given size.
func noise(i, size int) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	msg := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(msg) // never fails

	return msg
}

// requireSame requires the same messages in the same order. It reports the first
// difference instead of all bytes.
func requireSame(t *testing.T, want, got [][]byte) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if !bytes.Equal(want[i], got[i]) {
			require.Failf(t, "a message is lost, changed or out of order",
				"message %d has %d bytes, wanted are %d others", i, len(got[i]), len(want[i]))
		}
	}
	require.Len(t, got, len(want))
}
