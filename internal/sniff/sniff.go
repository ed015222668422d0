package sniff

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"time"
)

var (
	NativeStart = []byte{0x22, 0x0a, 0x20} // docs/wire.md §3.1
	Libp2pStart = []byte("\x13/m")
	// MultistreamHeader is what a libp2p dialer sends first.
	MultistreamHeader = []byte("\x13/multistream/1.0.0\n")
)

// PeekedConn gives the bytes that identify looked at to the next reader.
type PeekedConn struct {
	net.Conn
	Buf *bufio.Reader
}

func NewPeekedConn(conn net.Conn) *PeekedConn {
	return &PeekedConn{Conn: conn, Buf: bufio.NewReaderSize(conn, 64)}
}

// Read implements net.Conn.
func (c *PeekedConn) Read(p []byte) (int, error) { return c.Buf.Read(p) }

// PeekWithin waits for the remote to speak first. A context without a deadline
// may end earlier.
func (c *PeekedConn) PeekWithin(ctx context.Context, wait time.Duration) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2)
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}

	return c.Buf.Peek(len(NativeStart))
}

// starts are the first bytes of protocols, of either side.
var starts = []struct {
	protocol string
	start    []byte
}{
	{"native", NativeStart}, {"libp2p", Libp2pStart}, {"SSH", []byte("SSH-")},
	{"HTTP", []byte("HTTP/")}, {"HTTP", []byte("GET ")}, {"HTTP", []byte("HEAD ")}, {"HTTP", []byte("POST ")},
	{"TLS", []byte{0x15, 0x03}}, // an alert: it was not greeted as it expects
	{"TLS", []byte{0x16, 0x03}},
}

// Protocol names the protocol of which first are the first bytes: "native", "libp2p",
// "HTTP", "TLS" or "SSH", else it returns the empty string.
func Protocol(first []byte) string {
	for _, s := range starts {
		if bytes.HasPrefix(first, s.start) {
			return s.protocol
		}
	}

	return ""
}
