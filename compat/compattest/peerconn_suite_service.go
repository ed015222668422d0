package compattest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// servicePromises cover starting and stopping a peer.
func (s transportSuite) servicePromises() []promiseCase {
	return []promiseCase{
		{"Start/Twice", s.startTwice},
		{"Start/AfterStop", s.startAfterStop},
		{"Start/RemoteGone", s.startRemoteGone},
		{"Stop/NeverStarted", s.stopNeverStarted},
		{"Stop/Twice", s.stopTwice},
		{"Stop/Concurrent", s.stopConcurrent},
		{"Stop/Quit", s.stopQuit},
	}
}

func (s transportSuite) startTwice(t *testing.T) {
	l := s.running(t)
	require.True(t, l.out.IsRunning())
	require.ErrorIs(t, l.out.Start(), service.ErrAlreadyStarted)
	l.works(t)
}

func (s transportSuite) startAfterStop(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.out.Stop())
	require.ErrorIs(t, l.out.Start(), service.ErrAlreadyStopped)
	require.False(t, l.out.IsRunning())
}

// When the remote disconnected before a peer was started, Start fails, or the peer starts
// and then fails.
func (s transportSuite) startRemoteGone(t *testing.T) {
	l := s.connected(t)
	l.a.drop(l.out)
	l.b.change(func() { l.b.started[l.in] = true })
	if err := l.in.Start(); err != nil {
		require.False(t, l.in.IsRunning())

		return
	}
	l.b.awaitFailure(t, l.in)
}

func (s transportSuite) stopNeverStarted(t *testing.T) {
	l := s.connected(t)
	require.ErrorIs(t, l.out.Stop(), service.ErrNotStarted)
}

func (s transportSuite) stopTwice(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.out.Stop())
	require.ErrorIs(t, l.out.Stop(), service.ErrAlreadyStopped)
}

func (s transportSuite) stopConcurrent(t *testing.T) {
	l := s.running(t)
	var first, later, other atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := l.out.Stop(); {
			case err == nil:
				first.Add(1)
			case errors.Is(err, service.ErrAlreadyStopped):
				later.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	returnsInTime(t, "all calls of Stop", wg.Wait)
	require.EqualValues(t, 1, first.Load())
	require.EqualValues(t, 7, later.Load())
	require.Zero(t, other.Load())
	awaitQuit(t, l.out)
}

func (s transportSuite) stopQuit(t *testing.T) {
	l := s.running(t)
	quit := l.out.Quit()
	select {
	case <-quit:
		require.Fail(t, "a running peer has quit")
	default:
	}
	require.NoError(t, l.out.Stop())
	require.False(t, l.out.IsRunning())
	awaitQuit(t, l.out)
	<-quit // the channel of an earlier call is closed too
}
