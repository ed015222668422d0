package compattest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// link is one connection. out is the end of a, which dialed, and in the end of b.
type link struct {
	a, b    *endpoint
	out, in compat.PeerConn
}

// connectEnds dials b from a. Neither end is started. On a busy machine a handshake may take
// longer than a transport allows. It is repeated then.
func connectEnds(t *testing.T, a, b *endpoint) *link {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endpointPatience)
	defer cancel()
	for {
		l, err := connectOnce(ctx, a, b)
		if err == nil {
			return l
		}
		if ctx.Err() != nil || compat.ClassifyDial(err) != compat.DialTimedOut {
			require.NoError(t, err)
		}
	}
}

func connectOnce(ctx context.Context, a, b *endpoint) (*link, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &link{a: a, b: b}
	accepted := make(chan error, 1)
	go func() {
		var err error
		l.in, err = b.accept(ctx)
		accepted <- err
	}()

	var err error
	l.out, err = a.dialOnce(ctx, b.tr.NetAddress())
	if err != nil {
		cancel() // there is no peer to accept
		<-accepted

		return nil, fmt.Errorf("dial: %w", err)
	}
	if err := <-accepted; err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}

	return l, nil
}

func (l *link) start(t *testing.T) {
	t.Helper()
	l.a.start(t, l.out)
	l.b.start(t, l.in)
}

// turned returns the link as seen from its other end.
func (l *link) turned() *link { return &link{a: l.b, b: l.a, out: l.in, in: l.out} }

// works sends a message each way and waits until both arrive.
func (l *link) works(t *testing.T) {
	t.Helper()
	for _, dir := range []*link{l, l.turned()} {
		have := dir.b.count(dir.in, ChannelA)
		require.True(t, dir.out.Send(ChannelA, []byte("ping")))
		dir.b.awaitCount(t, dir.in, ChannelA, have+1)
	}
}

// awaitQuit waits until the peer has stopped.
func awaitQuit(t *testing.T, peer compat.PeerConn) {
	t.Helper()
	timeout := time.NewTimer(endpointPatience)
	defer timeout.Stop()
	select {
	case <-peer.Quit():
		require.False(t, peer.IsRunning())
	case <-timeout.C:
		require.Fail(t, "missing: the end of the peer")
	}
}

// returnsInTime fails the test unless f returns within the patience. It returns how long f
// took. f must not call t.FailNow.
func returnsInTime(t *testing.T, what string, f func()) time.Duration {
	t.Helper()
	begin := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	timeout := time.NewTimer(endpointPatience)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		require.Fail(t, "missing: the return of "+what)
	}

	return time.Since(begin)
}

// requireNoPeer requires that Dial or Accept has failed.
func requireNoPeer(t *testing.T, peer compat.PeerConn, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, peer == nil, "a peer beside the error: %v", peer)
}
