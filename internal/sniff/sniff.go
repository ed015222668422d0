package sniff

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

var (
	// NativeStart begins what a native node sends first (docs/wire.md §3.1).
	NativeStart = []byte{0x22, 0x0a, 0x20}
	// Libp2pStart begins what a libp2p node sends first.
	Libp2pStart = []byte("\x13/m")
	// MultistreamHeader is the whole first message of a libp2p dialer.
	MultistreamHeader = []byte("\x13/multistream/1.0.0\n")
)

// PeekedConn is a connection whose first bytes can be looked at and are still read
// afterwards. Nobody may read while another goroutine peeks.
type PeekedConn struct {
	net.Conn
	Buf *bufio.Reader

	reading sync.Mutex
	mtx     sync.Mutex
	first   []byte // that were read, at most maxFirst
}

// maxFirst is the length of the longest start of a protocol.
const maxFirst = 5

// NewPeekedConn wraps a connection of which nothing was read yet.
func NewPeekedConn(conn net.Conn) *PeekedConn {
	return &PeekedConn{Conn: conn, Buf: bufio.NewReaderSize(conn, 64)}
}

// Read implements net.Conn.
func (c *PeekedConn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, err := c.Buf.Read(p)
	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.first = append(c.first, p[:min(n, maxFirst-len(c.first))]...)

	return n, err
}

// Shown returns the Protocol of what was read so far. It may be called concurrently.
func (c *PeekedConn) Shown() string {
	c.mtx.Lock()
	defer c.mtx.Unlock()

	return Protocol(c.first)
}

// CloseWrite ends the sending side of the connection.
func (c *PeekedConn) CloseWrite() error { return socket.CloseWrite(c.Conn) }

// SyscallConn implements syscall.Conn, so that options of the socket can be set.
func (c *PeekedConn) SyscallConn() (syscall.RawConn, error) { return socket.Raw(c.Conn) }

// PeekWithin waits for the first three bytes of the remote, as long as wait says but at
// most for half of the time that the context leaves. It returns all that came, with the
// error that ended the wait if it is less: os.ErrDeadlineExceeded is that of the wait. If the
// context ends meanwhile, the connection is closed, and the error is that of the context.
func (c *PeekedConn) PeekWithin(ctx context.Context, wait time.Duration) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2)
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}

	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	_, err := c.Buf.Peek(len(NativeStart))
	if !stop() {
		return nil, ctx.Err()
	}
	if closed := c.SetReadDeadline(time.Time{}); closed != nil {
		return nil, closed
	}
	first, _ := c.Buf.Peek(c.Buf.Buffered()) // never more than there is

	return first, err
}

// starts are the first bytes of protocols, from a client or a server.
var starts = []struct {
	protocol string
	start    []byte
}{
	{"native", NativeStart}, {"libp2p", Libp2pStart}, {"SSH", []byte("SSH-")},
	// A length prefix may take more bytes than it needs (docs/wire.md §2).
	{"native", []byte{0xa2, 0x00, 0x0a}}, {"native", []byte{0xa2, 0x80, 0x00}}, {"native", []byte{0xa2, 0x80, 0x80}},
	{"HTTP", []byte("HTTP/")}, {"HTTP", []byte("GET ")}, {"HTTP", []byte("HEAD ")}, {"HTTP", []byte("POST ")},
	{"TLS", []byte{0x15, 0x03}}, // an alert: it was not greeted as it expects
	{"TLS", []byte{0x16, 0x03}},
	{"PROXY", []byte("PROXY ")}, {"PROXY", []byte("\r\n\r\n\x00\r\nQUIT\n")}, // versions 1 and 2
}

// Protocol returns the protocol that begins with the bytes: "native", "libp2p", "HTTP",
// "TLS", "SSH" or "PROXY". It returns the empty string for any other.
func Protocol(first []byte) string {
	for _, s := range starts {
		if bytes.HasPrefix(first, s.start) {
			return s.protocol
		}
	}

	return ""
}
