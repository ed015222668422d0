package socket

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// limitUnsent sets TCP_NOTSENT_LOWAT to limit bytes. The error wraps
// errors.ErrUnsupported when the connection or the kernel lacks the option.
func limitUnsent(conn net.Conn, limit int) error {
	raw, err := Raw(conn)
	if err != nil {
		return err
	}
	var optErr error
	err = raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, limit)
	})
	if err != nil {
		return err
	}
	if errors.Is(optErr, unix.ENOPROTOOPT) {
		optErr = fmt.Errorf("%w: %w", errors.ErrUnsupported, optErr)
	}

	return os.NewSyscallError("setsockopt", optErr)
}
