package simnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	latency = 40 * time.Millisecond
	port    = 26656
	window  = 256 << 10
)

var (
	here  = netip.MustParseAddr("5.0.0.1")
	there = netip.MustParseAddr("5.0.0.2")
)

func constant(d time.Duration) simnet.LatencyFunc {
	return func(netip.Addr, netip.Addr) time.Duration { return d }
}

// hosts returns two hosts. b listens.
func hosts(t *testing.T, d time.Duration) (a, b *simnet.Host, l net.Listener) {
	t.Helper()
	n := simnet.New(constant(d))
	a, err := n.AddHost(here)
	require.NoError(t, err)
	b, err = n.AddHost(there)
	require.NoError(t, err)
	l, err = b.Listen(port)
	require.NoError(t, err)

	return a, b, l
}

func dial(t *testing.T, a *simnet.Host, l net.Listener) (near, far net.Conn) {
	t.Helper()
	near, err := a.DialContext(context.Background(), "tcp", l.Addr().String())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)

	return near, far
}

func closeAll(t *testing.T, closers ...io.Closer) {
	t.Helper()
	for _, c := range closers {
		require.NoError(t, c.Close())
	}
}

// TestConn runs the suite of package nettest, in real time.
func TestConn(t *testing.T) {
	for name, d := range map[string]time.Duration{"at once": 0, "after a moment": 50 * time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, _, l := hosts(t, d)
				c1, c2 = dial(t, a, l)

				return c1, c2, func() { c1.Close(); c2.Close(); l.Close() }, nil
			})
		})
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, l := hosts(t, latency)
		begun := time.Now()
		near, far := dial(t, a, l)
		require.Equal(t, 2*latency, time.Since(begun), "a dial takes a round trip")

		begun = time.Now()
		_, err := near.Write([]byte("one"))
		require.NoError(t, err)
		_, err = near.Write([]byte("two"))
		require.NoError(t, err)
		require.NoError(t, near.Close())
		require.Zero(t, time.Since(begun))
		all, err := io.ReadAll(far)
		require.NoError(t, err)
		require.Equal(t, "onetwo", string(all))
		require.Equal(t, latency, time.Since(begun), "and a byte half of one")

		require.Equal(t, simnet.Traffic{BytesSent: 6, WritesSent: 2, Dials: 1}, a.Traffic())
		require.Equal(t, simnet.Traffic{BytesReceived: 6, WritesReceived: 2, Accepts: 1}, b.Traffic())
		require.Equal(t, simnet.Traffic{BytesReceived: 2}, b.Traffic().Sub(
			simnet.Traffic{BytesReceived: 4, WritesReceived: 2, Accepts: 1}))
		closeAll(t, far, l)
		require.Zero(t, a.Conns()+b.Conns())
	})
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, l := hosts(t, latency)
		near, far := dial(t, a, l)
		written := make(chan error, 1)
		go func() {
			_, err := near.Write(make([]byte, window+1))
			written <- err
		}()
		select {
		case <-written:
			t.Fatal("more than the window was taken")
		case <-time.After(time.Hour): // virtual: data under way does not make room
		}
		_, err := io.ReadFull(far, make([]byte, 2))
		require.NoError(t, err)
		require.NoError(t, <-written)

		go func() {
			_, err := near.Write(make([]byte, window))
			written <- err
		}()
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, far.Close())
		require.ErrorIs(t, <-written, syscall.EPIPE)
		require.Equal(t, latency, time.Since(begun), "the writer hears of it later")
		closeAll(t, near, l)
	})
}

func TestNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, l := hosts(t, latency)
		at := l.Addr().String()
		require.NoError(t, l.Close())
		begun := time.Now()
		_, err := a.DialContext(context.Background(), "tcp", at)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, 2*latency, time.Since(begun))
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, uint64(1), a.Traffic().DialsFailed)
	})
}

func TestClosedListenerDropsWhatNobodyAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, l := hosts(t, latency)
		near, err := a.DialContext(context.Background(), "tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = near.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, near.Close())
		require.Zero(t, b.Conns())
	})
}

// dialFor dials for a second and requires a timeout.
func dialFor(t *testing.T, h *simnet.Host, at string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	_, err := h.DialContext(ctx, "tcp", at)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, time.Second, time.Since(begun))
	var op *net.OpError
	require.ErrorAs(t, err, &op)
}

func TestVanishedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, l := hosts(t, latency)
		near, far := dial(t, a, l)
		_, err := far.Write([]byte("lost on its way"))
		require.NoError(t, err)
		b.Vanish()
		b.Vanish()
		require.NoError(t, far.Close())

		require.NoError(t, near.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = near.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var netErr net.Error
		require.True(t, errors.As(err, &netErr) && netErr.Timeout())
		_, err = near.Write(make([]byte, window))
		require.NoError(t, err, "the kernel takes what it has room for")
		require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Hour)))
		_, err = near.Write([]byte{1})
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		dialFor(t, a, l.Addr().String())
		dialFor(t, b, l.Addr().String())
		dialFor(t, a, "5.0.0.3:1")
		closeAll(t, near, l)
	})
}

func TestAddressesAreTakenOnce(t *testing.T) {
	n := simnet.New(constant(0))
	h, err := n.AddHost(here)
	require.NoError(t, err)
	_, err = n.AddHost(here)
	require.Error(t, err)
	l, err := h.Listen(0)
	require.NoError(t, err)
	_, err = h.Listen(uint16(l.Addr().(*net.TCPAddr).Port))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	closeAll(t, l, l)
	_, err = h.DialContext(t.Context(), "tcp", "example.org:1")
	require.Error(t, err, "names are not looked up")
}
