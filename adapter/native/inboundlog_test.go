package native

import (
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Health checks, be it by connecting or by HTTP, cost one line together, and a failure of
// a node that speaks the protocol has its own.
func TestHealthChecksAreSummedUp(t *testing.T) {
	listener, logs := newLoggedTransport(t)
	require.NoError(t, listener.Listen(loopback()))
	for i := range 6 {
		conn, err := net.Dial("tcp", dialString(listener))
		require.NoError(t, err)
		if i%2 == 0 {
			_, err := conn.Write([]byte("GET /health HTTP/1.1\r\nHost: node\r\n\r\n"))
			require.NoError(t, err)
		} else {
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		}
		_, err = io.Copy(io.Discard, conn) // until the node closes the connection
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
		require.NoError(t, conn.Close())
	}
	stranger := newTransport(t, "another net")
	_, err := stranger.Dial(testContext(t), listener.NetAddress(), newBehavior())
	require.Error(t, err)
	lines := func() int { return strings.Count(logs.String(), "inbound handshake failed") }
	require.Eventually(t, func() bool { return lines() > 1 }, testTimeout, time.Millisecond)
	require.NoError(t, listener.Close())
	require.Equal(t, 3, lines(), "%s", logs)
	require.Contains(t, logs.String(), "more_times=5")
	require.Contains(t, logs.String(), "remote speaks HTTP")
	require.Contains(t, logs.String(), "node info with")
}

// Connections of several kinds from many networks write a few lines.
func TestConnectFloodWritesLittle(t *testing.T) {
	requireAddresses(t)
	const most = 12 << 10 // bytes; a line for each connection would make 390 KB
	kinds := []string{"", "\x22", "GET / HTTP/1.1\r\n\r\n", "\x22\x0a\x20" + strings.Repeat("\x00", 32)}
	listener, logs := newLoggedTransport(t)
	require.NoError(t, listener.Listen(loopback()))
	for i := range 2000 {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i%100), 1)}}
		conn, err := dialer.Dial("tcp", dialString(listener))
		require.NoError(t, err)
		_, err = conn.Write([]byte(kinds[i%len(kinds)]))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	// What the listener has not accepted yet is lost when it closes.
	last, err := net.Dial("tcp", dialString(listener))
	require.NoError(t, err)
	require.NoError(t, last.(*net.TCPConn).CloseWrite())
	_, err = io.Copy(io.Discard, last)
	require.NoError(t, err)
	require.NoError(t, last.Close())
	require.NoError(t, listener.Close())
	require.Less(t, len(logs.String()), most, "%s", logs)
	total := strings.Count(logs.String(), " err=")
	for _, found := range regexp.MustCompile(`more_times=(\d+)`).FindAllStringSubmatch(logs.String(), -1) {
		n, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		total += n
	}
	require.Equal(t, 2001, total, "each connection is counted")
}
