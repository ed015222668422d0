package freeport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTake takes ports until many of the range are given, so that a port would come twice.
func TestTake(t *testing.T) {
	t.Cleanup(given.Clear)
	seen := make(map[int]bool)
	for range 300 {
		port, err := Take()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}

func TestPortIsTaken(t *testing.T) {
	port, err := Take()
	require.NoError(t, err)
	require.NoError(t, try(port))
	addr := net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	udp, err := net.ListenUDP("udp", &addr)
	require.NoError(t, err)
	require.Error(t, try(port))
	require.NoError(t, udp.Close())
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: addr.IP, Port: port})
	require.NoError(t, err)
	require.Error(t, try(port))
	require.NoError(t, tcp.Close())
}
