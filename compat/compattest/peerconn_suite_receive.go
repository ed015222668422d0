package compattest

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// receivePromises cover the calls of Receive.
func (s transportSuite) receivePromises() []promiseCase {
	return []promiseCase{
		{"Receive/OneAtATime", s.receiveOneAtATime},
		{"Receive/PeersAreIndependent", s.receivePeersAreIndependent},
		{"Receive/StopsItsPeer", s.receiveStopsItsPeer},
		{"Receive/NoneAfterStop", s.receiveNoneAfterStop},
		{"Receive/AnswersItsPeer", s.receiveAnswersItsPeer},
		{"Receive/Panic", s.receivePanic},
	}
}

func (s transportSuite) receiveOneAtATime(t *testing.T) {
	const each = 50
	l := s.connected(t)
	for _, e := range []*endpoint{l.a, l.b} {
		e.reactor.hook = func(byte, compat.PeerConn, []byte) { runtime.Gosched() }
	}
	l.start(t)
	var wg sync.WaitGroup
	for _, dir := range []*link{l, l.turned()} {
		for _, chID := range []byte{ChannelA, ChannelB} {
			wg.Go(func() {
				for _, msg := range noises(each, 10) {
					if !sendAtLast(dir.out, chID, msg) {
						t.Errorf("a message on channel %#02x was refused", chID)

						return
					}
				}
			})
		}
	}
	wg.Wait()
	require.False(t, t.Failed())
	for _, dir := range []*link{l, l.turned()} {
		for _, chID := range []byte{ChannelA, ChannelB} {
			dir.b.awaitCount(t, dir.in, chID, each)
		}
		overlaps, _ := dir.b.misdelivered()
		require.Zero(t, overlaps, "calls of Receive for one peer ran at the same time")
	}
}

// A Receive that is blocked for one peer does not delay the others.
func (s transportSuite) receivePeersAreIndependent(t *testing.T) {
	a, b := s.endpoints(t, nil)
	busy, other := connectEnds(t, a, b), connectEnds(t, b, a).turned()
	gate := make(chan struct{})
	t.Cleanup(func() { close(gate) })
	b.reactor.hook = func(_ byte, peer compat.PeerConn, _ []byte) {
		if peer == busy.in {
			<-gate
		}
	}
	busy.start(t)
	other.start(t)
	require.True(t, busy.out.Send(ChannelA, []byte("keeps b busy")))
	b.awaitCount(t, busy.in, ChannelA, 1)
	msgs := noises(100, 1000)
	for _, msg := range msgs {
		require.True(t, other.out.Send(ChannelA, msg))
	}
	requireSame(t, msgs, b.awaitCount(t, other.in, ChannelA, len(msgs)))
}

func (s transportSuite) receiveStopsItsPeer(t *testing.T) {
	l := s.connected(t)
	stopped := make(chan error, 1)
	l.b.reactor.hook = func(_ byte, peer compat.PeerConn, _ []byte) { stopped <- peer.Stop() }
	l.start(t)
	require.True(t, l.out.Send(ChannelA, []byte("stop")))
	var err error
	returnsInTime(t, "Stop in Receive", func() { err = <-stopped })
	require.NoError(t, err)
	awaitQuit(t, l.in)
	l.a.awaitFailure(t, l.out)
	require.Empty(t, l.b.allFailures(), "a peer that was stopped has not failed")
}

// Messages that have arrived before a peer stops are not delivered after it.
func (s transportSuite) receiveNoneAfterStop(t *testing.T) {
	l := s.connected(t)
	sent := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-sent:
		default:
			close(sent)
		}
	}))
	l.b.reactor.hook = func(_ byte, peer compat.PeerConn, _ []byte) {
		<-sent
		_ = peer.Stop() // only the first call stops it
	}
	l.start(t)
	for _, chID := range []byte{ChannelA, ChannelB} {
		for _, msg := range noises(smallQueue, 10) {
			require.True(t, l.out.Send(chID, msg))
		}
	}
	l.b.await(t, "the first message", func() bool { return len(l.b.received) > 0 })
	close(sent)
	awaitQuit(t, l.in)
	l.a.awaitFailure(t, l.out)
	require.NoError(t, l.b.shut()) // waits for the goroutines of the peer
	require.Equal(t, 1, l.b.count(l.in, ChannelA)+l.b.count(l.in, ChannelB))
}

// Two reactors that answer each other from within Receive do not deadlock.
func (s transportSuite) receiveAnswersItsPeer(t *testing.T) {
	const rounds = 100
	l := s.connected(t)
	for _, e := range []*endpoint{l.a, l.b} {
		e.reactor.hook = func(chID byte, peer compat.PeerConn, msg []byte) {
			if msg[0] == 0 {
				return
			}
			if !peer.Send(chID, []byte{msg[0] - 1}) {
				t.Errorf("the answer to message %d was refused", msg[0])
			}
		}
	}
	l.start(t)
	require.True(t, l.out.Send(ChannelA, []byte{rounds}))
	l.b.awaitCount(t, l.in, ChannelA, rounds/2+1)
	require.Len(t, l.a.awaitCount(t, l.out, ChannelA, rounds/2), rounds/2)
}

// A panic in Receive ends that peer, on both ends, and no other.
func (s transportSuite) receivePanic(t *testing.T) {
	a, b := s.endpoints(t, nil)
	bad, good := connectEnds(t, a, b), connectEnds(t, b, a).turned()
	b.reactor.hook = func(_ byte, peer compat.PeerConn, _ []byte) {
		if peer == bad.in {
			panic("conformance suite: this panic is meant to be")
		}
	}
	bad.start(t)
	good.start(t)
	require.True(t, bad.out.Send(ChannelA, []byte("panic")))
	b.awaitFailure(t, bad.in)
	a.awaitFailure(t, bad.out)
	good.works(t)
}
