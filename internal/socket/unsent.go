package socket

import (
	"errors"
	"fmt"
	"net"
)

// MaxUnsent is how many bytes that the network has not taken yet may lie in the
// kernel's send buffer of a connection. What lies there cannot be overtaken by
// anything urgent, and has left the processor's caches when it is sent at last; by
// itself the buffer grows to megabytes. It holds the next batch while one is sent.
const MaxUnsent = 64 << 10

// LimitUnsent holds the connection to MaxUnsent where it is a TCP socket and the
// system can do that, which Linux can (TCP_NOTSENT_LOWAT, tcp(7)); elsewhere it
// does nothing. An error means that the connection is of no use.
func LimitUnsent(conn net.Conn) error {
	err := limitUnsent(conn, MaxUnsent)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("limit unsent data: %w", err)
	}

	return nil
}
