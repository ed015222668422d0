package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// failurePromises cover how the end of one side ends the other, and the calls of
// HandlePeerError.
func (s transportSuite) failurePromises() []promiseCase {
	return []promiseCase{
		{"CloseConn/Started", s.closeConnStarted},
		{"CloseConn/NeverStarted", s.closeConnNeverStarted},
		{"CloseConn/BothNeverStarted", s.closeConnBothNeverStarted},
		{"Stop/EndsRemote", s.stopEndsRemote},
		{"HandlePeerError/NotForOwnStop", s.failureNotForOwnStop},
		{"HandlePeerError/OnlyStarted", s.failureOnlyStarted},
	}
}

// bothTurns runs f on a connection twice, once for each end.
func (s transportSuite) bothTurns(t *testing.T, f func(l *link)) {
	t.Helper()
	f(s.connected(t))
	f(s.connected(t).turned())
}

func (s transportSuite) stopEndsRemote(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		l.start(t)
		require.NoError(t, l.out.Stop())
		l.b.awaitFailure(t, l.in)
	})
}

// A running peer fails when its connection is closed.
func (s transportSuite) closeConnStarted(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		l.start(t)
		require.NoError(t, l.out.CloseConn())
		l.a.awaitFailure(t, l.out)
		l.b.awaitFailure(t, l.in)
	})
}

func (s transportSuite) closeConnNeverStarted(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		l.b.start(t, l.in)
		require.NoError(t, l.out.CloseConn())
		l.b.awaitFailure(t, l.in)
	})
}

// When a peer's connection was closed, Start fails, or the peer starts and then fails.
func (s transportSuite) closeConnBothNeverStarted(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		require.NoError(t, l.out.CloseConn())
		for _, dir := range []*link{l, l.turned()} {
			if dir.a.run(dir.out); dir.out.IsRunning() {
				dir.a.awaitFailure(t, dir.out)
			}
		}
	})
}

func (s transportSuite) failureNotForOwnStop(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		l.start(t)
		l.works(t)
		require.NoError(t, l.out.Stop())
		l.b.awaitFailure(t, l.in)
		require.NoError(t, l.a.shut()) // waits for the goroutines of the peer
		require.Empty(t, l.a.allFailures())
	})
}

// HandlePeerError is not called for a peer that was never started.
func (s transportSuite) failureOnlyStarted(t *testing.T) {
	s.bothTurns(t, func(l *link) {
		l.b.start(t, l.in)
		require.True(t, l.in.Send(ChannelA, []byte("nobody is there")))
		require.NoError(t, l.in.Stop())
		require.NoError(t, l.out.CloseConn())
		l.a.tr.Remove(l.out)
		require.NoError(t, l.a.shut()) // waits for the goroutines of the peers
		require.NoError(t, l.b.shut())
		for _, e := range []*endpoint{l.a, l.b} {
			require.Empty(t, e.allFailures())
		}
	})
}
