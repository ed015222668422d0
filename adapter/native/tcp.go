package native

import (
	"errors"
	"fmt"
	"net"
)

// maxUnsent is how many bytes that the network has not taken yet may lie in the
// kernel's send buffer of a connection. What lies there cannot be overtaken by an
// urgent message, and the buffer may grow to megabytes. Two of secretconn's
// batches of 64 KiB are enough for the next one to be sealed while one is sent.
const maxUnsent = 128 << 10

// tune sets what the operating system does with a fresh connection. TCP_NODELAY
// needs no mention: package net sets it.
func (mt *MultiplexTransport) tune(conn net.Conn) error {
	err := limitUnsent(conn, maxUnsent)
	if errors.Is(err, errors.ErrUnsupported) {
		mt.logger.Debug("unsent data of a connection is not limited", "address", conn.RemoteAddr(), "err", err)

		return nil
	}
	if err != nil {
		return fmt.Errorf("unable to limit unsent data: %w", err)
	}

	return nil
}
