package compattest

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// badRemotes is how many bad remotes connect to a listener at the same time.
const badRemotes = 20

// acceptPromises cover how Accept ends, and connections that are not from peers.
func (s transportSuite) acceptPromises() []promiseCase {
	return []promiseCase{
		{"Accept/Cancelled", s.acceptCancelled},
		{"Accept/Cancel", s.acceptCancel},
		{"Accept/Deadline", s.acceptDeadline},
		{"Accept/Concurrent", s.acceptConcurrent},
		{"Accept/Garbage", s.acceptGarbage},
		{"Accept/ClosedAtOnce", s.acceptClosedAtOnce},
		{"Accept/Silence", s.acceptSilence},
	}
}

func (s transportSuite) acceptCancelled(t *testing.T) {
	a, b := s.endpoints(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	peer, err := b.accept(ctx)
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.Canceled)
	connectEnds(t, a, b)
}

// A cancelled Accept does not lose a peer, which the next Accept returns.
func (s transportSuite) acceptCancel(t *testing.T) {
	a, b := s.endpoints(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		peer compat.PeerConn
		err  error
	)
	begun := make(chan struct{})
	go func() { <-begun; cancel() }()
	returnsInTime(t, "Accept", func() { close(begun); peer, err = b.accept(ctx) })
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.Canceled)
	connectEnds(t, a, b)
}

func (s transportSuite) acceptDeadline(t *testing.T) {
	_, b := s.endpoints(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Accept", func() { peer, err = b.accept(ctx) })
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Concurrent calls of Accept return each peer once.
func (s transportSuite) acceptConcurrent(t *testing.T) {
	a, b := s.endpoints(t, nil)
	const acceptors = 4
	accepted, errs := make([]compat.PeerConn, acceptors), make([]error, acceptors)
	var wg sync.WaitGroup
	for i := range acceptors {
		wg.Go(func() { accepted[i], errs[i] = b.accept(t.Context()) })
	}
	for range acceptors {
		peer, err := a.dial(t.Context(), b.tr.NetAddress())
		require.NoError(t, err)
		a.start(t, peer)
	}
	returnsInTime(t, "all calls of Accept", wg.Wait)
	seen := make(map[compat.PeerConn]bool)
	for i, peer := range accepted {
		require.NoError(t, errs[i])
		require.False(t, seen[peer], "a peer was returned twice")
		seen[peer] = true
	}
}

func (s transportSuite) acceptGarbage(t *testing.T) {
	a, b := s.endpoints(t, nil)
	b.serve(t, b.run)
	for _, garbage := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"\x22\x0a\x20",
		"\x13/multistream/1.0.0\n",
		strings.Repeat("\x00", 4096),
		strings.Repeat("\xff", 1<<16),
	} {
		conn := dialRaw(t, b)
		// The listener may close before it has read everything.
		_, _ = io.WriteString(conn, garbage)
	}
	honestDial(t, a, b)
}

func (s transportSuite) acceptClosedAtOnce(t *testing.T) {
	a, b := s.endpoints(t, nil)
	b.serve(t, b.run)
	for range badRemotes {
		require.NoError(t, dialRaw(t, b).Close())
	}
	honestDial(t, a, b)
}

// Silent connections do not keep peers from connecting.
func (s transportSuite) acceptSilence(t *testing.T) {
	a, b := s.endpoints(t, nil)
	b.serve(t, b.run)
	for range badRemotes {
		dialRaw(t, b)
	}
	honestDial(t, a, b)
}

// dialRaw connects to the listener of an endpoint. It closes the connection at the end of
// the test.
func dialRaw(t *testing.T, e *endpoint) net.Conn {
	t.Helper()
	addr := e.tr.NetAddress()
	conn, err := net.Dial("tcp", addr.DialString())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already

	return conn
}

// honestDial dials b from a and requires that b, which serves, has no other peer.
func honestDial(t *testing.T, a, b *endpoint) {
	t.Helper()
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	require.NoError(t, err)
	a.start(t, peer)
	require.True(t, peer.Send(ChannelA, []byte("honest")))
	b.await(t, "the message of the honest node", func() bool { return len(b.received) == 1 })
	require.Len(t, b.allPeers(), 1)
}
