package secretconn

import (
	"errors"
	"fmt"
	"net"
)

// maxUnsent is how many bytes that the network has not taken yet may lie in the
// kernel's send buffer of a connection. What lies there cannot be overtaken by
// anything urgent, and has left the processor's caches when it is sent at last; by
// itself the buffer grows to megabytes. It holds the next batch while one is sent.
const maxUnsent = 64 << 10

// tune sets what the operating system does with conn, as far as it can.
// TCP_NODELAY needs no mention: package net sets it.
func tune(conn net.Conn) error {
	err := limitUnsent(conn, maxUnsent)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("limit unsent data: %w", err)
	}

	return nil
}
