package stacktest

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ports that the system gives to nobody who asks for any: those of connections begin at 32768 on
// Linux, and at 49152 elsewhere (RFC 6335).
const (
	firstOwnPort = 10000
	ownPorts     = 10000 // below those that compattest takes
)

// given holds the ports that FreePortAt has returned.
var given sync.Map

// FreePortAt returns a TCP port that is free at all of the IPs, another one each time. It stays free,
// also while a node that listens there restarts: no connection gets it as its own.
func FreePortAt(t *testing.T, ips ...net.IP) uint16 {
	t.Helper()
	for range 100 {
		port := firstOwnPort + rand.IntN(ownPorts)
		free := true
		for _, ip := range ips {
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
			if free = free && err == nil; err == nil {
				require.NoError(t, l.Close())
			}
		}
		if !free {
			continue
		}
		if _, before := given.LoadOrStore(port, true); !before {
			return uint16(port)
		}
	}
	require.FailNow(t, "no port is free at every address")

	return 0
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
