package bothstacks

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience only ends a test that has already failed.
const patience = time.Minute

// peer is a connection of which only its end counts.
type peer struct {
	compat.PeerConn

	closed chan struct{}
}

func newPeer() *peer { return &peer{closed: make(chan struct{})} }

func (p *peer) CloseConn() error {
	close(p.closed)

	return nil
}

// stack hands out the peers that a test gives it.
type stack struct {
	compat.Transport

	peers    chan compat.PeerConn
	failures chan error // of Accept
	channels []byte
	err      error
}

func newStack() *stack {
	return &stack{peers: make(chan compat.PeerConn, 1), failures: make(chan error, 1)}
}

func (s *stack) Accept(ctx context.Context, _ compat.PeerBehavior) (compat.PeerConn, error) {
	select {
	case p := <-s.peers:
		return p, nil
	case err := <-s.failures:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *stack) AnnounceChannels(channels []byte) ([]byte, error) {
	former := s.channels
	s.channels = channels

	return former, s.err
}

func nothing() error { return nil }

// The peers of each stack come out, and one that nobody takes is closed.
func TestAccept(t *testing.T) {
	a, b := newStack(), newStack()
	m := New(a, b)
	for _, s := range []*stack{a, b} {
		p := newPeer()
		s.peers <- p
		got, err := m.Accept(t.Context(), nil)
		require.NoError(t, err)
		require.Same(t, p, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Accept(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)

	left := newPeer()
	a.peers <- left
	require.Eventually(t, func() bool { return len(a.peers) == 0 }, patience, time.Millisecond)
	require.NoError(t, m.Close(nothing))
	select {
	case <-left.closed:
	case <-time.After(patience):
		require.FailNow(t, "the peer that nobody took stays open")
	}
	_, err = m.Accept(t.Context(), nil)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
}

// A stack that fails to accept one peer still accepts the next.
func TestAcceptGoesOnAfterAnError(t *testing.T) {
	s := newStack()
	m := New(newStack(), s)
	defer func() { require.NoError(t, m.Close(nothing)) }()
	broken, p := errors.New("broken"), newPeer()
	s.failures <- broken
	_, err := m.Accept(t.Context(), nil)
	require.ErrorIs(t, err, broken)
	s.peers <- p
	got, err := m.Accept(t.Context(), nil)
	require.NoError(t, err)
	require.Same(t, p, got)
}

// Close waits for calls, which end with the context, and lets none begin.
func TestCloseWaitsForCalls(t *testing.T) {
	m := New(newStack())
	require.NoError(t, m.Enter())
	left := make(chan struct{})
	go func() {
		<-m.Context().Done()
		close(left)
		m.Leave()
	}()
	wrong := errors.New("wrong")
	require.ErrorIs(t, m.Close(func() error { return wrong }), wrong)
	<-left
	require.ErrorIs(t, m.Enter(), compat.ErrTransportClosed)
}

func TestAnnounceChannels(t *testing.T) {
	a, b := newStack(), newStack()
	m := New(a, b)
	defer func() { require.NoError(t, m.Close(nothing)) }()
	_, err := m.AnnounceChannels([]byte{1})
	require.NoError(t, err)
	former, err := m.AnnounceChannels([]byte{2})
	require.NoError(t, err)
	require.Equal(t, []byte{1}, former)
	require.Equal(t, []byte{2}, a.channels)
	a.err = errors.New("no")
	_, err = m.AnnounceChannels([]byte{3})
	require.ErrorIs(t, err, a.err)
	require.Equal(t, []byte{2}, b.channels)
}
