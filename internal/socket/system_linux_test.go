package socket

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whichever notices first that the time is over, the context or the socket, callers see the
// error of the context.
func TestDialLate(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Close(fd)) }()
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	own, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(own.(*syscall.SockaddrInet4).Port))

	filled, err := net.Dial("tcp", address) // the only one that nobody need accept
	require.NoError(t, err)
	defer filled.Close()
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		conn, err := System{}.DialContext(ctx, "tcp", address)
		cancel()
		require.Nil(t, conn)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}
