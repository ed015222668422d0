package sdnotify_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/sdnotify"
)

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), "@tm2bridge-test-" + strconv.Itoa(os.Getpid())} {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		require.NoError(t, err)
		t.Setenv("NOTIFY_SOCKET", name)
		require.NoError(t, sdnotify.Notify(sdnotify.Ready, sdnotify.Status("two\nlines")))
		buf := make([]byte, 100)
		n, err := socket.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "READY=1\nSTATUS=two lines", string(buf[:n]))
		require.NoError(t, socket.Close())
		require.Error(t, sdnotify.Notify(sdnotify.Ready))
	}
	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, sdnotify.Notify(sdnotify.Ready))
}

func TestInterval(t *testing.T) {
	t.Setenv("WATCHDOG_PID", "")
	for usec, want := range map[string]time.Duration{"": 0, "x": 0, "-5": 0, "20000000": 10 * time.Second} {
		t.Setenv("WATCHDOG_USEC", usec)
		require.Equal(t, want, sdnotify.Interval())
	}
	t.Setenv("WATCHDOG_USEC", "20000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	require.Equal(t, 10*time.Second, sdnotify.Interval())
	t.Setenv("WATCHDOG_PID", "1")
	require.Zero(t, sdnotify.Interval())
}
