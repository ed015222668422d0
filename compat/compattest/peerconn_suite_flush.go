package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// flushPromises cover FlushStop.
func (s transportSuite) flushPromises() []promiseCase {
	return []promiseCase{
		{"FlushStop/Bounded", s.flushBounded},
		{"FlushStop/Delivers", s.flushDelivers},
		{"FlushStop/Stops", s.flushStops},
		{"FlushStop/EndsRemote", s.flushEndsRemote},
		{"FlushStop/RemoteGone", s.flushRemoteGone},
	}
}

// FlushStop delivers everything that was accepted, on either end, although the remote's
// Receive is blocked until FlushStop has begun.
func (s transportSuite) flushDelivers(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		release := l.b.hold(t)
		l.start(t)
		want := map[byte][][]byte{ChannelA: noises(smallQueue, smallCapacity), ChannelB: noises(bulkQueue/2, bulkCapacity)}
		for chID, msgs := range want {
			for _, msg := range msgs {
				require.True(t, l.out.Send(chID, msg))
			}
		}
		begun := make(chan struct{})
		go func() { <-begun; release() }()
		returnsInTime(t, "FlushStop", func() { close(begun); l.out.FlushStop() })
		for chID, msgs := range want {
			requireSame(t, msgs, l.b.awaitCount(t, l.in, chID, len(msgs)))
		}
	})
}

func (s transportSuite) flushStops(t *testing.T) {
	l := s.running(t)
	require.True(t, l.out.Send(ChannelA, []byte("last")))
	returnsInTime(t, "FlushStop", l.out.FlushStop)
	require.False(t, l.out.IsRunning())
	awaitQuit(t, l.out)
	requireRefused(t, l.out, ChannelA, []byte("late"))
	require.ErrorIs(t, l.out.Stop(), service.ErrAlreadyStopped)
	returnsInTime(t, "another FlushStop", l.out.FlushStop)
	require.Empty(t, l.a.allFailures(), "a peer that was stopped has not failed")
}

func (s transportSuite) flushEndsRemote(t *testing.T) {
	l := s.running(t)
	returnsInTime(t, "FlushStop", l.out.FlushStop)
	l.b.awaitFailure(t, l.in)
}

// FlushStop ends although the remote's Receive stays blocked.
func (s transportSuite) flushBounded(t *testing.T) {
	l := s.connected(t)
	l.b.hold(t)
	l.start(t)
	fill(t, l.out)
	returnsInTime(t, "FlushStop", l.out.FlushStop)
	require.False(t, l.out.Send(ChannelA, []byte("late")))
}

func (s transportSuite) flushRemoteGone(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.in.Stop())
	returnsInTime(t, "FlushStop", l.out.FlushStop)
	awaitQuit(t, l.out)
}
