package native

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func tcpOption(t *testing.T, conn syscall.Conn, option int) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	var value int
	var optErr error
	require.NoError(t, raw.Control(func(fd uintptr) {
		value, optErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option)
	}))
	require.NoError(t, optErr)

	return value
}

// socketAt finds the socket of this process that has the local TCP port and is
// connected.
func socketAt(t *testing.T, port int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		require.NoError(t, err)
		local, err := unix.Getsockname(fd)
		if err != nil {
			continue // no socket, or closed since
		}
		if _, err := unix.Getpeername(fd); err != nil {
			continue // a listener
		}
		if in4, ok := local.(*unix.SockaddrInet4); ok && in4.Port == port {
			return fd
		}
	}
	t.Fatalf("no socket has port %d", port)
	panic("unreachable")
}

func TestConnectionsAreTuned(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer dialed.Close()

	mt := newTransport(t, "net")
	require.NotEqual(t, maxUnsent, tcpOption(t, dialed.(syscall.Conn), unix.TCP_NOTSENT_LOWAT))
	require.NoError(t, mt.tune(dialed))
	require.Equal(t, maxUnsent, tcpOption(t, dialed.(syscall.Conn), unix.TCP_NOTSENT_LOWAT))
	require.Equal(t, 1, tcpOption(t, dialed.(syscall.Conn), unix.TCP_NODELAY))
}

// Both ends of a peer connection are tuned.
func TestPeersAreTuned(t *testing.T) {
	out, in := connect(t, newTransport(t, "net"), listen(t, "net"), newBehavior(), newBehavior())
	for _, far := range []compat.PeerConn{out, in} {
		fd := socketAt(t, far.RemoteAddr().(*net.TCPAddr).Port)
		for option, want := range map[int]int{unix.TCP_NOTSENT_LOWAT: maxUnsent, unix.TCP_NODELAY: 1} {
			have, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option)
			require.NoError(t, err)
			require.Equal(t, want, have)
		}
	}
}

// Only "not supported" is passed over.
func TestTuningFails(t *testing.T) {
	mt := newTransport(t, "net")
	near, far := newLink(addrA, addrB)
	require.ErrorIs(t, limitUnsent(near, maxUnsent), errors.ErrUnsupported)
	require.NoError(t, mt.tune(near), "what is no socket has no option")
	require.NoError(t, far.Close())

	path := t.TempDir() + "/socket"
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	unixConn, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.ErrorIs(t, limitUnsent(unixConn, maxUnsent), errors.ErrUnsupported)
	require.NoError(t, unixConn.Close())

	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer tcp.Close()
	conn, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.ErrorIs(t, mt.tune(conn), net.ErrClosed)
}
