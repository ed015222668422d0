package lp2p

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// An inbound connection, behind a proxy or not, holds as little unsent data in the kernel
// as an outbound one, so that urgent messages overtake bulk on it.
func TestInboundConnectionsLimitUnsentData(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"direct":  func(conn net.Conn) net.Conn { return conn },
		"proxied": func(conn net.Conn) net.Conn { return &proxied.Conn{Conn: conn} },
	} {
		dialed, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		accepted, err := listener.Accept()
		require.NoError(t, err)
		conn := &tcpConn{Conn: sniff.NewPeekedConn(wrap(accepted))}
		_, err = socket.NewDrain(conn)
		require.NoError(t, err)

		raw, err := accepted.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		var limit int
		require.NoError(t, raw.Control(func(fd uintptr) {
			limit, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		}))
		require.NoError(t, err)
		require.Equal(t, socket.MaxUnsent, limit, name)
		require.NoError(t, dialed.Close())
		require.NoError(t, accepted.Close())
	}
}
