package secretconn

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
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
		require.Equal(t, socket.MaxUnsent, tcpOption(t, sc.conn, unix.TCP_NOTSENT_LOWAT))
		require.Equal(t, 1, tcpOption(t, sc.conn, unix.TCP_NODELAY))
	}
}

func TestHandshakeOnClosedConnection(t *testing.T) {
	conn, other, err := tcpPair()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, other.Close())

	_, err = MakeSecretConnection(conn, identity(1))
	require.ErrorIs(t, err, net.ErrClosed)
}
