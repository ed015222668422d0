package native

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A minute has one line, which counts the events since the line before.
func TestRepeatsLogOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := new(logBuffer)
		logger := slog.New(slog.NewTextHandler(logs, nil))
		var r repeats
		for range 25 { // every ten seconds for four minutes
			r.log(logger, slog.LevelInfo, "event")
			<-time.After(10 * time.Second)
		}
		lines := strings.Split(strings.TrimSpace(logs.String()), "\n")
		require.Len(t, lines, 5)
		require.Contains(t, lines[0], "others_since_last_line=0")
		for _, line := range lines[1:] {
			require.Contains(t, line, "others_since_last_line=5")
		}
	})
}

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
	require.Equal(t, 2, lines(), "%s", logs)
	require.Contains(t, logs.String(), "remote speaks HTTP")
	require.Contains(t, logs.String(), "node info with")
}
