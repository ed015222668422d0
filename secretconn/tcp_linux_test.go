package secretconn

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func tcpOption(t *testing.T, conn net.Conn, option int) int {
	t.Helper()

	raw, err := conn.(syscall.Conn).SyscallConn()
	require.NoError(t, err)

	var (
		value  int
		optErr error
	)

	require.NoError(t, raw.Control(func(fd uintptr) {
		value, optErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option)
	}))
	require.NoError(t, optErr)

	return value
}

func TestConnectionsAreTuned(t *testing.T) {
	a, b, err := connectTCP()
	require.NoError(t, err)

	defer closeBoth(t, a, b)

	for _, sc := range []*SecretConnection{a, b} {
		require.Equal(t, maxUnsent, tcpOption(t, sc.conn, unix.TCP_NOTSENT_LOWAT))
		require.Equal(t, 1, tcpOption(t, sc.conn, unix.TCP_NODELAY))
	}
}

// Only "not supported" is passed over.
func TestTuningFails(t *testing.T) {
	near, _ := memPipe()
	require.ErrorIs(t, limitUnsent(near, maxUnsent), errors.ErrUnsupported)
	require.NoError(t, tune(near), "what is no socket has no option")

	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)

	defer listener.Close()

	unixConn, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	require.ErrorIs(t, limitUnsent(unixConn, maxUnsent), errors.ErrUnsupported)
	require.NoError(t, unixConn.Close())

	conn, other, err := tcpPair()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, other.Close())
	require.ErrorIs(t, tune(conn), net.ErrClosed)

	_, err = MakeSecretConnection(conn, identity(1))
	require.ErrorIs(t, err, net.ErrClosed)
}
