package socket

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNewDrain checks that NewDrain ignores errors.ErrUnsupported and no other error.
func TestNewDrain(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	require.ErrorIs(t, limitUnsent(near, MaxUnsent), errors.ErrUnsupported)
	_, err := NewDrain(near)
	require.NoError(t, err, "a conn that is not a socket has no such option")

	unixListener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	defer unixListener.Close()
	unixConn, err := net.Dial("unix", unixListener.Addr().String())
	require.NoError(t, err)
	require.ErrorIs(t, limitUnsent(unixConn, MaxUnsent), errors.ErrUnsupported)
	require.NoError(t, unixConn.Close())

	tcpListener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer tcpListener.Close()
	conn, err := net.Dial("tcp", tcpListener.Addr().String())
	require.NoError(t, err)
	_, err = NewDrain(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = NewDrain(conn)
	require.ErrorIs(t, err, net.ErrClosed)
}

// tcpPair returns the ends of a TCP connection, which are closed when the test ends.
func tcpPair(t *testing.T) (conn, remote net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	remote, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remote.Close()) })

	return conn, remote
}

// A connection that an outage has spared is used again soon after it.
func TestBackoffOfASocketIsShort(t *testing.T) {
	conn, _ := tcpPair(t)
	_, err := NewDrain(conn)
	require.NoError(t, err)
	raw, err := Raw(conn)
	require.NoError(t, err)
	var got int
	var optErr error
	require.NoError(t, raw.Control(func(fd uintptr) { got, optErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMax) }))
	if errors.Is(optErr, unix.ENOPROTOOPT) {
		t.Skip("TCP_RTO_MAX_MS needs Linux 6.15")
	}
	require.NoError(t, optErr)
	require.EqualValues(t, maxBackoff.Milliseconds(), got)
}

// The kernel tells the rate of a socket once data was acknowledged, and takes another limit.
func TestDrainOfASocket(t *testing.T) {
	conn, remote := tcpPair(t)
	d, err := NewDrain(conn)
	require.NoError(t, err)

	buf := make([]byte, 1<<20)
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(remote, make([]byte, 2*len(buf)))
		done <- err
	}()
	for range 2 {
		_, err = conn.Write(buf)
		require.NoError(t, err)
	}
	require.NoError(t, <-done)
	rate, err := d.path.DeliveryRate()
	require.NoError(t, err)
	require.Positive(t, rate)

	require.NoError(t, d.path.LimitUnsent(MinUnsent))
	raw, err := Raw(conn)
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		limit, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		require.NoError(t, err)
		require.Equal(t, MinUnsent, limit)
	}))
}
