package stream

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
)

// muted is a connection whose writes can be lost.
type muted struct {
	net.Conn
	mute atomic.Bool
}

func (m *muted) Write(p []byte) (int, error) {
	if m.mute.Load() {
		return len(p), nil
	}

	return m.Conn.Write(p)
}

// link is two yamux connections on an in-memory one, and a stream that the first
// has opened. The second asks whether the first is alive.
type link struct {
	below   [2]*muted
	conns   [2]network.MuxedConn
	streams [2]network.MuxedStream
}

func newLink(t *testing.T) *link {
	l := &link{below: [2]*muted{{}, {}}}
	l.below[0].Conn, l.below[1].Conn = net.Pipe()
	for i, c := range l.below {
		var err error
		muxer := *yamux.DefaultTransport
		muxer.EnableKeepAlive = i == 1
		l.conns[i], err = muxer.NewConn(c, i == 1, &network.NullScope{})
		require.NoError(t, err)
	}
	var err error
	l.streams[0], err = l.conns[0].OpenStream(t.Context())
	require.NoError(t, err)
	_, err = l.streams[0].Write([]byte("x"))
	require.NoError(t, err)
	l.streams[1], err = l.conns[1].AcceptStream()
	require.NoError(t, err)
	_, err = io.ReadFull(l.streams[1], make([]byte, 1))
	require.NoError(t, err)

	return l
}

func (l *link) close() {
	for _, c := range l.conns {
		_ = c.Close() // it may be closed already
	}
}

// Whatever ends a read on yamux is told apart.
func TestFailuresOfYamux(t *testing.T) {
	lost := func(timedOut bool) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			var ne net.Error
			require.True(t, IsLost(err), "%v", err)
			require.ErrorAs(t, err, &ne)
			require.Equal(t, timedOut, ne.Timeout(), "%v", err)
		}
	}
	for name, c := range map[string]struct {
		happens func(l *link) // while the second side reads
		check   func(t *testing.T, err error)
	}{
		"end": {func(l *link) { _ = l.streams[0].CloseWrite() }, func(t *testing.T, err error) {
			require.Equal(t, io.EOF, err)
		}},
		"reset": {func(l *link) { _ = l.streams[0].ResetWithError(network.StreamRateLimited) }, func(t *testing.T, err error) {
			require.True(t, IsResetWith(err, network.StreamShutdown, network.StreamRateLimited), "%v", err)
			require.False(t, IsResetWith(err, network.StreamShutdown))
			require.ErrorIs(t, err, network.ErrReset)
		}},
		"own reset": {func(l *link) { _ = l.streams[1].Reset() }, func(t *testing.T, err error) {
			require.ErrorAs(t, err, new(*network.StreamError))
			require.False(t, IsLost(err))
			require.False(t, IsResetWith(err, 0), "the remote has not")
		}},
		"deadline": {func(l *link) { _ = l.streams[1].SetReadDeadline(LongAgo) }, func(t *testing.T, err error) {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.False(t, IsLost(err))
		}},
		"bytes end":        {func(l *link) { _ = l.below[0].Close() }, lost(false)},
		"closed there":     {func(l *link) { _ = l.conns[0].Close() }, lost(false)},
		"closed with code": {func(l *link) { _ = l.conns[0].CloseWithError(network.ConnShutdown) }, lost(false)},
		"closed here":      {func(l *link) { _ = l.conns[1].Close() }, lost(false)},
		"remote is silent": {func(l *link) { l.below[0].mute.Store(true) }, lost(true)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink(t)
				defer l.close()
				read := make(chan error)
				go func() {
					_, err := l.streams[1].Read(make([]byte, 1))
					read <- failure(err, l.conns[1].IsClosed())
				}()
				synctest.Wait()
				c.happens(l)
				err := <-read
				c.check(t, err)
				require.Equal(t, name == "end", IsEnd(fmt.Errorf("read: %w", err)))
			})
		})
	}
}

// What writes on a yamux connection that has ended returns is no end of a stream.
func TestWriteOnAConnectionThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t)
		defer l.close()
		_ = l.below[0].Close()
		synctest.Wait()
		_, err := l.streams[1].Write([]byte("x"))
		require.True(t, IsLost(sendFailure(err, l.conns[1].IsClosed())), "%v", err)
		_, err = l.conns[1].OpenStream(t.Context())
		require.True(t, IsLost(sendFailure(err, l.conns[1].IsClosed())), "%v", err)
		require.True(t, IsLost(sendFailure(io.EOF, false)))
	})
}

// muxed is a stream of a link, as libp2p's swarm wraps it.
type muxed struct {
	network.Stream
	on     network.MuxedConn
	stream network.MuxedStream
}

type muxedConn struct {
	network.Conn
	on network.MuxedConn
}

func (m muxed) CloseWrite() error  { return m.stream.CloseWrite() }
func (m muxed) Conn() network.Conn { return muxedConn{on: m.on} }
func (c muxedConn) IsClosed() bool { return c.on.IsClosed() }

// What a remote has sent before it ended its side and the connection is read to the end.
func TestBytesOfAConnectionThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t)
		defer l.close()
		const size = 200 << 10 // more than half a window, so that yamux wants to tell that it was read
		require.NoError(t, l.streams[1].CloseWrite())
		_, err := l.streams[0].Write(make([]byte, size))
		require.NoError(t, err)
		require.NoError(t, l.streams[0].CloseWrite())
		synctest.Wait()
		_ = l.below[0].Close()
		synctest.Wait()
		require.True(t, l.conns[1].IsClosed())
		got, err := io.ReadAll(&Stream{Stream: muxed{on: l.conns[1]}, rw: l.streams[1]})
		require.NoError(t, err)
		require.Len(t, got, size)
	})
}

// To end a side on such a connection fails, and does not mean that the remote has ended its own.
func TestCloseWriteOnAConnectionThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t)
		defer l.close()
		_ = l.below[0].Close()
		synctest.Wait()
		s := &Stream{Stream: muxed{on: l.conns[1], stream: l.streams[1]}, rw: l.streams[1]}
		err := s.CloseWrite()
		require.True(t, IsLost(err), "%v", err)
		require.False(t, IsEnd(err))
	})
}

func TestFailuresOfQUIC(t *testing.T) {
	for _, c := range []struct {
		err            error
		lost, timedOut bool
	}{
		{&quic.IdleTimeoutError{}, true, true},
		{&quic.HandshakeTimeoutError{}, true, true},
		{&quic.StatelessResetError{}, true, false},
		{&quic.TransportError{Remote: true}, true, false},
		{&network.ConnError{Remote: true, TransportError: &quic.ApplicationError{Remote: true}}, true, false},
		{&network.StreamError{Remote: true, TransportError: &quic.StreamError{Remote: true}}, false, false},
	} {
		err := failure(c.err, false) // which may come before the connection counts as closed
		require.Equal(t, c.lost, IsLost(err), "%v", c.err)
		require.Equal(t, c.timedOut, timedOut(err), "%v", c.err)
		require.Equal(t, !c.lost, IsResetWith(err, 0), "%v", c.err)
		require.ErrorIs(t, err, c.err)
	}
}

func TestFailuresThatAreNoneOfTheMuxers(t *testing.T) {
	na := multistream.ErrNotSupported[protocol.ID]{Protos: []protocol.ID{"/x"}}
	require.ErrorIs(t, failure(na, false), ErrUnsupported)
	require.ErrorIs(t, failure(&network.StreamError{Remote: true, ErrorCode: network.StreamProtocolNegotiationFailed}, false), ErrUnsupported)
	require.True(t, IsLost(failure(network.ErrNoConn, false)))
	require.True(t, IsLost(sendFailure(swarm.ErrConnClosed, false)), "this node is about to close it")
	require.True(t, IsLost(failure(&network.StreamError{}, true)), "closing a connection resets its streams")
	require.True(t, IsResetWith(failure(network.ErrReset, false), 0), "a reset without a code")
	for _, err := range []error{nil, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded} {
		require.Equal(t, err, failure(err, false))
	}
}

// Each session ends with such an error, on both sides and on each of its streams.
func TestFailureOfAConnectionCostsLittle(t *testing.T) {
	lost := error(&network.ConnError{Remote: true, TransportError: io.ErrClosedPipe})
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = failure(lost, true) }), 3.0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = failure(io.EOF, false) }), 0.0)
}
