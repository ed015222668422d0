package socket

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// CloseWrite ends the sending side of a connection, for the CloseWrite of a type that wraps
// another connection. The error wraps errors.ErrUnsupported if that one has no such side.
func CloseWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("close write: %w", errors.ErrUnsupported)
	}

	return half.CloseWrite()
}

// Raw returns the socket of a connection, for the SyscallConn of a type that wraps another
// connection. The error wraps errors.ErrUnsupported if there is none.
func Raw(conn net.Conn) (syscall.RawConn, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is not a socket: %w", conn, errors.ErrUnsupported)
	}

	return socket.SyscallConn()
}
