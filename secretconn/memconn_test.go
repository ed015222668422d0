package secretconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memConn is one end of a duplex pipe with an unlimited buffer. Over net.Pipe, which
// has none, two ends that both write first would deadlock.
type memConn struct {
	in, out *memBuffer
}

type memAddr struct{}

func (memAddr) Network() string { return "mem" }
func (memAddr) String() string  { return "mem" }

func memPipe() (a, b *memConn) {
	x, y := newMemBuffer(), newMemBuffer()

	return &memConn{in: x, out: y}, &memConn{in: y, out: x}
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite ends the stream to the other end.
func (c *memConn) CloseWrite() { c.out.end() }

func (c *memConn) Close() error {
	c.out.end()
	c.in.abandon()

	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return memAddr{} }
func (c *memConn) RemoteAddr() net.Addr { return memAddr{} }

func (c *memConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memConn) SetReadDeadline(t time.Time) error  { return c.in.setDeadline(t) }
func (c *memConn) SetWriteDeadline(_ time.Time) error { return nil } // writes never block

// memBuffer is one direction.
type memBuffer struct {
	mu        sync.Mutex
	changed   *sync.Cond
	data      []byte
	ended     bool // by the writer
	abandoned bool // by the reader
	deadline  time.Time
	timer     *time.Timer
}

func newMemBuffer() *memBuffer {
	b := &memBuffer{}
	b.changed = sync.NewCond(&b.mu)

	return b
}

func (b *memBuffer) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	for {
		switch {
		case b.abandoned:
			return 0, net.ErrClosed
		case !b.deadline.IsZero() && !time.Now().Before(b.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(b.data) > 0:
			n := copy(p, b.data)
			b.data = b.data[n:]

			return n, nil
		case b.ended:
			return 0, io.EOF
		}

		b.changed.Wait()
	}
}

func (b *memBuffer) write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.ended || b.abandoned {
		return 0, net.ErrClosed
	}

	b.data = append(b.data, p...)
	b.changed.Broadcast()

	return len(p), nil
}

func (b *memBuffer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.ended = true
	b.changed.Broadcast()
}

func (b *memBuffer) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.abandoned = true
	b.stopTimer()
	b.changed.Broadcast()
}

func (b *memBuffer) setDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.stopTimer()
	b.deadline = t

	if !t.IsZero() && !b.abandoned {
		b.timer = time.AfterFunc(time.Until(t), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.changed.Broadcast()
		})
	}

	b.changed.Broadcast()

	return nil
}

func (b *memBuffer) stopTimer() {
	if b.timer != nil {
		b.timer.Stop()
	}
}
