//go:build !linux

package socket

import (
	"errors"
	"fmt"
	"net"
	"runtime"
)

func limitUnsent(net.Conn, int) error {
	return fmt.Errorf("on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
