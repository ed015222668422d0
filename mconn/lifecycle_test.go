package mconn

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()

	conn, remote := newMemConn(plenty)
	receive, fail := func(byte, []byte) {}, func(error) {}

	_, err := NewMConnection(nil, oneChannel, receive, fail)
	require.ErrorIs(t, err, ErrNilArgument)
	_, err = NewMConnection(conn, oneChannel, nil, fail)
	require.ErrorIs(t, err, ErrNilArgument)
	_, err = NewMConnection(conn, oneChannel, receive, nil)
	require.ErrorIs(t, err, ErrNilArgument)
	_, err = NewMConnection(conn, []*compat.ChannelDescriptor{nil}, receive, fail)
	require.ErrorIs(t, err, ErrNilArgument)
	_, err = NewMConnection(conn, []*compat.ChannelDescriptor{desc(1, 1), desc(1, 2)}, receive, fail)
	require.ErrorIs(t, err, ErrDuplicateChannel)
	_, err = NewMConnection(conn, []*compat.ChannelDescriptor{desc(1, 0)}, receive, fail)
	require.ErrorIs(t, err, compat.ErrInvalidChannel)
	_, err = NewMConnectionWithConfig(conn, nil, receive, fail, MConnConfig{})
	require.ErrorIs(t, err, ErrInvalidConfig)

	require.NoError(t, conn.Close())
	require.NoError(t, remote.Close())
}

func TestStartAndStopOnce(t *testing.T) {
	t.Parallel()

	conn, remote := newMemConn(plenty)
	n := newNode(t, conn, unlimited(), oneChannel...)
	require.Equal(t, "MConn{mem}", n.String())
	require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
	n.FlushStop() // nothing to do

	require.NoError(t, n.Start())
	require.ErrorIs(t, n.Start(), service.ErrAlreadyStarted)
	require.NoError(t, n.Stop())
	require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
	n.FlushStop()
	<-n.Done()
	<-n.Quit()

	require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
	require.ErrorIs(t, n.Reset(), service.ErrNoReset)
	require.Empty(t, n.errors(), "Stop is no error")

	_, err := remote.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the conn is closed")
	require.NoError(t, remote.Close())
}

// TestDeadlineOfTheHandshakeIsCleared checks that a deadline that the caller left on
// the conn does not end the connection.
func TestDeadlineOfTheHandshakeIsCleared(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		conn, remote := newMemConn(plenty)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Second)))
		n := startNode(t, conn, unlimited(), oneChannel...)
		p := peer{t, remote}

		advance(10 * time.Second)
		require.True(t, n.Send(0x20, []byte("out")))
		require.Equal(t, "out", string(p.packet().Payload))
		p.write(whole(0x20, "in"))
		advance(time.Second)
		require.Equal(t, []message{{0x20, "in"}}, n.messages())

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

func TestStopInsideOnReceive(t *testing.T) {
	t.Parallel()

	for name, stop := range map[string]func(*node){
		"Stop":      func(n *node) { _ = n.Stop() },
		"FlushStop": func(n *node) { n.FlushStop() },
	} {
		synctest.Test(t, func(t *testing.T) {
			conn, remote := newMemConn(plenty)
			n := newNode(t, noHalfClose{conn}, unlimited(), oneChannel...)
			n.during = func(byte, []byte) { stop(n) }
			require.NoError(t, n.Start())

			p := peer{t, remote}
			p.write(append(whole(0x20, "one"), whole(0x20, "two")...))
			<-n.Done()
			require.Equal(t, []message{{0x20, "one"}}, n.messages(), name)
			require.Empty(t, n.errors(), name)
			require.NoError(t, remote.Close())
		})
	}
}

func TestPanicInsideOnReceive(t *testing.T) {
	t.Parallel()

	cause := errors.New("cause")

	synctest.Test(t, func(t *testing.T) {
		conn, remote := newMemConn(plenty)
		n := newNode(t, conn, unlimited(), oneChannel...)
		n.during = func(byte, []byte) { panic(cause) }
		require.NoError(t, n.Start())

		p := peer{t, remote}
		p.write(append(whole(0x20, "one"), whole(0x20, "two")...))
		<-n.Done()
		synctest.Wait()

		err := n.onlyError(t)
		isChannel(0x20, cause)(t, err)

		var panicErr *PanicError
		require.ErrorAs(t, err, &panicErr)
		require.Contains(t, string(panicErr.Stack), "TestPanicInsideOnReceive")
		require.ErrorContains(t, err, "lifecycle_test.go")
		require.Len(t, n.messages(), 1)
		require.NoError(t, remote.Close())
	})
}

// TestGoexitInsideOnReceive checks that runtime.Goexit in onReceive ends the
// connection.
func TestGoexitInsideOnReceive(t *testing.T) {
	t.Parallel()

	conn, remote := newMemConn(plenty)
	n := newNode(t, conn, unlimited(), oneChannel...)
	n.during = func(byte, []byte) { runtime.Goexit() }
	require.NoError(t, n.Start())

	peer{t, remote}.write(whole(0x20, "one"))
	<-n.Done()
	require.ErrorIs(t, n.onlyError(t), errDeliveryExited)
	require.NoError(t, remote.Close())
}

// TestWaitForDoneInsideOnError checks that onError may wait for the end of the last
// delivery.
func TestWaitForDoneInsideOnError(t *testing.T) {
	t.Parallel()

	conn, remote := newMemConn(plenty)
	reported := make(chan error)

	var c *MConnection
	c, err := NewMConnection(conn, oneChannel, func(byte, []byte) {}, func(err error) {
		<-c.Done()
		require.ErrorIs(t, c.Stop(), service.ErrAlreadyStopped)
		c.FlushStop()
		reported <- err
	})
	require.NoError(t, err)
	require.NoError(t, c.Start())
	require.NoError(t, remote.Close())
	require.ErrorIs(t, <-reported, io.EOF)
}

func TestEndOfStreamDeliversWhatCame(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		p.write(whole(0x20, "one"), piece(0x20, false, []byte("tw")), piece(0x20, true, []byte("o")))
		require.NoError(t, p.conn.Close())
		<-n.Done()
		require.ErrorIs(t, n.onlyError(t), io.EOF)
		require.NotErrorIs(t, n.onlyError(t), io.ErrUnexpectedEOF)
		require.Equal(t, []message{{0x20, "one"}, {0x20, "two"}}, n.messages())
	})
}

// TestFlushStopDeliversEverything calls FlushStop right after filling the queues,
// over TCP and with traffic in both directions.
func TestFlushStopDeliversEverything(t *testing.T) {
	t.Parallel()

	const messages = 90

	a, b := tcpPair(t)
	descs := []*compat.ChannelDescriptor{desc(1, 1), desc(2, 10)}
	one := startNode(t, a, unlimited(), descs...)
	two := startNode(t, b, unlimited(), descs...)

	// Closing with unread input would reset the connection.
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for two.Send(2, make([]byte, 5000)) {
			continue
		}
	}()

	sent := 0
	for range messages {
		require.True(t, one.TrySend(1, xs(3000)))
		require.True(t, one.TrySend(2, xs(10)))
		sent += 2
	}

	one.FlushStop()
	require.False(t, one.Send(1, []byte("late")))
	<-one.Done()
	<-two.Done()
	<-stopped

	require.Equal(t, sent, len(two.messages()))
	require.Empty(t, one.errors())
}

// TestFlushStopIsBounded checks that FlushStop ends although the peer reads nothing.
func TestFlushStopIsBounded(t *testing.T) {
	t.Parallel()

	var log bytes.Buffer

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(1)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, n.Start())
		require.True(t, n.Send(0x20, []byte("first")))
		synctest.Wait()

		start := time.Now()
		n.FlushStop()
		require.Equal(t, flushTimeout, time.Since(start))
		<-n.Done()
		require.Empty(t, n.errors())
		require.Contains(t, log.String(), "before all messages were written")
		require.NoError(t, remote.Close())
	})
}

// TestFlushStopIgnoresTheRate checks that FlushStop writes accepted messages at
// once.
func TestFlushStopIgnoresTheRate(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.SendRate = 1000

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := startNode(t, noHalfClose{local}, config, oneChannel...)
		p := peer{t, remote}

		for range 50 {
			require.True(t, n.Send(0x20, make([]byte, 10_000)))
		}

		start := time.Now()
		n.FlushStop()
		require.Zero(t, time.Since(start))

		for range 50 {
			for !p.packet().EOF {
				continue
			}
		}
		_, err := remote.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, remote.Close())
	})
}

// TestFlushStopWaitsForThePeer checks how long FlushStop waits for the peer to
// close, and that messages are delivered meanwhile.
func TestFlushStopWaitsForThePeer(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		start := time.Now()
		flushed := make(chan struct{})
		go func() { n.FlushStop(); close(flushed) }()
		synctest.Wait()

		p.write(whole(0x20, "goodbye"))
		<-flushed
		require.Equal(t, closeTimeout, time.Since(start))
		<-n.Done()
		require.Equal(t, []message{{0x20, "goodbye"}}, n.messages())
		require.Empty(t, n.errors())
	})
}

// TestConcurrentStops ends connections in several ways at the same time.
func TestConcurrentStops(t *testing.T) {
	t.Parallel()

	for range 50 {
		a, b := newMemConn(plenty)
		one := startNode(t, a, unlimited(), oneChannel...)
		two := startNode(t, b, unlimited(), oneChannel...)

		var wg sync.WaitGroup
		wg.Go(func() {
			for one.Send(0x20, []byte("message")) {
				continue
			}
		})
		wg.Go(one.FlushStop)
		wg.Go(func() { _ = two.Stop() })
		wg.Go(func() { _ = one.Status() })

		wg.Wait()
		<-one.Done()
		<-two.Done()
		require.LessOrEqual(t, len(one.errors()), 1)
		require.LessOrEqual(t, len(two.errors()), 1)
	}
}
