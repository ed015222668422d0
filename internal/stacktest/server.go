package stacktest

import (
	"net"
	"sync"
	"testing"

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
