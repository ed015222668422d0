package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tcpRTOMax is TCP_RTO_MAX_MS of Linux 6.15.
const tcpRTOMax = 44

// limitUnsent sets TCP_NOTSENT_LOWAT to limit bytes.
func limitUnsent(conn net.Conn, limit int) error { return setTCP(conn, unix.TCP_NOTSENT_LOWAT, limit) }

// limitBackoff sets TCP_RTO_MAX_MS.
func limitBackoff(conn net.Conn, limit time.Duration) error {
	return setTCP(conn, tcpRTOMax, int(limit.Milliseconds()))
}

// setTCP sets an option of a TCP socket. The error wraps errors.ErrUnsupported when the connection
// or the kernel lacks the option.
func setTCP(conn net.Conn, option, value int) error {
	raw, err := Raw(conn)
	if err != nil {
		return err
	}
	var optErr error
	err = raw.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) })
	if err != nil {
		return err
	}
	if errors.Is(optErr, unix.ENOPROTOOPT) {
		optErr = fmt.Errorf("%w: %w", errors.ErrUnsupported, optErr)
	}

	return os.NewSyscallError("setsockopt", optErr)
}

// deliveryRate returns tcpi_delivery_rate of a TCP socket in bytes a second (Linux 4.9).
func deliveryRate(conn net.Conn) (int64, error) {
	raw, err := Raw(conn)
	if err != nil {
		return 0, err
	}
	var (
		info   *unix.TCPInfo
		optErr error
	)
	if err := raw.Control(func(fd uintptr) {
		info, optErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil {
		return 0, err
	}
	if optErr != nil {
		return 0, os.NewSyscallError("getsockopt", optErr)
	}

	return int64(info.Delivery_rate), nil
}
