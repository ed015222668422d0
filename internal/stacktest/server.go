package stacktest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
)

// FreePortAt returns a port that is free for TCP and UDP at all of the IPs, another one each time. It
// stays free, also while a node that listens there restarts: no connection gets it as its own.
func FreePortAt(t *testing.T, ips ...net.IP) uint16 {
	t.Helper()
	port, err := freeport.Take(ips...)
	require.NoError(t, err)

	return port
}

// RequireClosedAfter connects to the address, writes first, and waits for at most a minute until the
// remote closes the connection. A remote that waits for a short time only may close it before the
// dial or the write has returned here; both fail then.
func RequireClosedAfter(t *testing.T, addr string, first []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, _ = conn.Write(first) // fails if the connection is closed, which is looked at below
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// AnswerAt handles each connection at the address on a goroutine and closes it afterwards,
// until the test ends.
func AnswerAt(t *testing.T, ip net.IP, port uint16, handle func(net.Conn)) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: int(port)})
	require.NoError(t, err)
	accept(t, listener, func(conn net.Conn) {
		handle(conn)
		_ = conn.Close() // the handler may have closed it
	})
}

// accept handles each connection of the listener on a goroutine, until the test ends.
func accept(t *testing.T, listener net.Listener, handle func(net.Conn)) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			serving.Go(func() { handle(conn) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		serving.Wait()
	})
}
