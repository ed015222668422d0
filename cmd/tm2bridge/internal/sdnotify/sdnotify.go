// Package sdnotify tells systemd how a service is, by the protocol of sd_notify(3): one
// datagram of assignments to the socket in NOTIFY_SOCKET. Without systemd it does nothing.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The states that a service tells.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Watchdog = "WATCHDOG=1"
)

// Status returns the assignment of a line that systemctl status shows.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// Notify sends the states. It does nothing when NOTIFY_SOCKET is empty.
func Notify(states ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' { // a socket in the abstract namespace
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("unable to notify systemd: %w", err)
	}
	if _, err = conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		err = fmt.Errorf("unable to notify systemd: %w", err)
	}
	if closeErr := conn.Close(); err == nil {
		err = closeErr
	}

	return err
}

// Interval returns how often Watchdog has to be sent, which is half of what WATCHDOG_USEC
// says, or 0 if systemd does not ask this process for it.
func Interval() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}

	return time.Duration(usec) * time.Microsecond / 2
}
