package socket

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLimitUnsent checks that LimitUnsent ignores errors.ErrUnsupported and no
// other error.
func TestLimitUnsent(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	require.ErrorIs(t, limitUnsent(near, MaxUnsent), errors.ErrUnsupported)
	require.NoError(t, LimitUnsent(near), "a conn that is not a socket has no such option")

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
	require.NoError(t, LimitUnsent(conn))
	require.NoError(t, conn.Close())
	require.ErrorIs(t, LimitUnsent(conn), net.ErrClosed)
}
