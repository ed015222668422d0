package proxied

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// headerBuffer holds a whole header of version 1, of up to 107 bytes, as its decoder
// requires.
const headerBuffer = 256

// Conn is a connection from a proxy, after its PROXY header. One Read runs at a time.
type Conn struct {
	net.Conn

	buf    *bufio.Reader // has what came with the header
	client net.Addr
}

// Accept reads the PROXY header of a connection of which nothing was read yet, within the
// timeout. A header without a client, as of a proxy's own health check, leaves the proxy's
// address. If the context ends meanwhile, the connection is closed. On any other error the
// caller closes it.
func Accept(ctx context.Context, conn net.Conn, timeout time.Duration) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the error is that of the context
	c, err := readWithin(conn, timeout)
	if !stop() {
		return nil, ctx.Err()
	}

	return c, err
}

func readWithin(conn net.Conn, timeout time.Duration) (*Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	c, err := readHeader(conn)
	if err != nil {
		return nil, err
	}

	return c, conn.SetReadDeadline(time.Time{})
}

func readHeader(conn net.Conn) (*Conn, error) {
	c := &Conn{Conn: conn, buf: bufio.NewReaderSize(conn, headerBuffer), client: conn.RemoteAddr()}
	header, err := proxyproto.Read(c.buf)
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() || header.TransportProtocol.IsUnspec() {
		return c, nil
	}
	client, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("PROXY header names %v, which is no TCP address", header.SourceAddr)
	}
	c.client = client

	return c, nil
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) { return c.buf.Read(b) }

// RemoteAddr implements net.Conn by the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// CloseWrite ends the sending side of the connection.
func (c *Conn) CloseWrite() error { return socket.CloseWrite(c.Conn) }

// SyscallConn implements syscall.Conn, so that options of the socket can be set.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return socket.Raw(c.Conn) }
