//go:build !linux

package socket

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
)

func limitUnsent(net.Conn, int) error {
	return fmt.Errorf("on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func limitBackoff(net.Conn, time.Duration) error {
	return fmt.Errorf("on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func deliveryRate(net.Conn) (int64, error) {
	return 0, fmt.Errorf("on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
