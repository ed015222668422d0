package compattest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// closePromises cover the end of connections and of the transport.
func (s transportSuite) closePromises() []promiseCase {
	return []promiseCase{
		{"Remove/Started", s.removeStarted},
		{"Remove/NeverStarted", s.removeNeverStarted},
		{"Remove/Twice", s.removeTwice},
		{"Close/EndsAccept", s.closeEndsAccept},
		{"Close/EndsDial", s.closeEndsDial},
		{"Close/Refuses", s.closeRefuses},
		{"Close/EndsPeers", s.closeEndsPeers},
		{"Close/Twice", s.closeTwice},
	}
}

func (s transportSuite) removeStarted(t *testing.T) {
	l := s.running(t)
	l.a.tr.Remove(l.out)
	awaitQuit(t, l.out)
	l.b.awaitFailure(t, l.in)
}

func (s transportSuite) removeNeverStarted(t *testing.T) {
	for _, turn := range []func(*link) *link{func(l *link) *link { return l }, (*link).turned} {
		l := turn(s.connected(t))
		l.b.start(t, l.in)
		l.a.tr.Remove(l.out)
		l.b.awaitFailure(t, l.in)
	}
}

func (s transportSuite) removeTwice(t *testing.T) {
	l := s.running(t)
	require.NoError(t, l.out.Stop())
	l.b.awaitFailure(t, l.in)
	for range 2 {
		l.a.tr.Remove(l.out)
		l.b.tr.Remove(l.in)
	}

	again := connectEnds(t, l.a, l.b) // both transports still work
	again.start(t)
	again.works(t)
	l.a.tr.Remove(l.out) // does not affect the other connection
	again.works(t)
}

// closing returns a pair for the promises of Close. It skips the test when the transport
// has no Close.
func (s transportSuite) closing(t *testing.T) (a, b *endpoint) {
	t.Helper()
	a, b = s.endpoints(t, nil)
	if _, ok := a.tr.(interface{ Close() error }); !ok {
		t.Skip("the transport has no method Close() error")
	}

	return a, b
}

func (s transportSuite) closeEndsAccept(t *testing.T) {
	_, b := s.closing(t)
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		close(begun)
		_, err := b.accept(context.Background())
		ended <- err
	}()
	<-begun
	require.NoError(t, b.shut())
	var err error
	returnsInTime(t, "Accept", func() { err = <-ended })
	require.ErrorIs(t, err, compat.ErrTransportClosed)
}

// Close does not wait for a dial to a silent listener.
func (s transportSuite) closeEndsDial(t *testing.T) {
	a, _ := s.closing(t)
	addr, connected := listenSilently(t)
	ended := make(chan error, 1)
	go func() {
		_, err := a.dial(context.Background(), addr)
		ended <- err
	}()
	returnsInTime(t, "the connect of Dial", func() { <-connected })
	var closeErr, dialErr error
	returnsInTime(t, "Close", func() { closeErr = a.shut() })
	returnsInTime(t, "Dial", func() { dialErr = <-ended })
	require.NoError(t, closeErr)
	require.ErrorIs(t, dialErr, compat.ErrTransportClosed)
}

func (s transportSuite) closeRefuses(t *testing.T) {
	a, b := s.closing(t)
	require.NoError(t, a.shut())
	var (
		peer compat.PeerConn
		err  error
	)
	returnsInTime(t, "Accept", func() { peer, err = a.accept(context.Background()) })
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	peer, err = a.dial(context.Background(), b.tr.NetAddress())
	requireNoPeer(t, peer, err)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	peer, err = b.dial(context.Background(), a.tr.NetAddress())
	requireNoPeer(t, peer, err)
}

func (s transportSuite) closeEndsPeers(t *testing.T) {
	a, b := s.closing(t)
	l := connectEnds(t, a, b)
	l.start(t)
	require.NoError(t, a.shut())
	b.awaitFailure(t, l.in)
	require.False(t, l.out.Send(ChannelA, []byte("late")))
}

func (s transportSuite) closeTwice(t *testing.T) {
	a, _ := s.closing(t)
	require.NoError(t, a.shut())
	require.NoError(t, a.shut())
}
