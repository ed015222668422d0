package socket

import (
	"errors"
	"fmt"
	"net"
)

// MaxUnsent is the most bytes that the kernel's send buffer of a connection may
// hold unsent: room for the next batch while one is sent. By default the buffer
// grows to megabytes. An urgent message cannot overtake data in that buffer, and
// the data has left the processor's caches by the time it is sent.
const MaxUnsent = 64 << 10

// LimitUnsent limits the unsent data of a TCP socket to MaxUnsent on Linux
// (TCP_NOTSENT_LOWAT, tcp(7)). It does nothing for other connections and on other
// systems. After an error the connection is unusable.
func LimitUnsent(conn net.Conn) error {
	err := limitUnsent(conn, MaxUnsent)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("limit unsent data: %w", err)
	}

	return nil
}
