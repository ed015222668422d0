package mconn

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// memPipe is one direction of an in-memory connection.
type memPipe struct {
	mu            sync.Mutex
	changed       *sync.Cond
	data          []byte
	limit         int // most bytes held; a write waits for room
	eof           bool
	readerGone    bool
	readErr       error // returned when data is used up
	readDeadline  memDeadline
	writeDeadline memDeadline
}

type memDeadline struct {
	at    time.Time
	timer *time.Timer
}

func newMemPipe(limit int) *memPipe {
	p := &memPipe{limit: limit}
	p.changed = sync.NewCond(&p.mu)

	return p
}

func (p *memPipe) setDeadline(d *memDeadline, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if d.timer != nil {
		d.timer.Stop()
	}

	d.at, d.timer = at, nil
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), p.wakeAll)
	}

	p.changed.Broadcast()
}

func (p *memPipe) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}

func (d *memDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (p *memPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	for {
		switch {
		case p.readerGone:
			return 0, net.ErrClosed
		case p.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p.data) > 0:
			n := copy(b, p.data)
			p.data = p.data[n:]
			p.changed.Broadcast()

			return n, nil
		case p.readErr != nil:
			return 0, p.readErr
		case p.eof:
			return 0, io.EOF
		}

		p.changed.Wait()
	}
}

func (p *memPipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	for {
		switch {
		case p.eof:
			return n, net.ErrClosed
		case p.readerGone:
			return n, io.ErrClosedPipe
		case p.writeDeadline.passed():
			return n, os.ErrDeadlineExceeded
		}

		part := b[n:min(len(b), n+p.limit-len(p.data))]
		p.data = append(p.data, part...)
		n += len(part)
		p.changed.Broadcast()

		if n == len(b) {
			return n, nil
		}

		p.changed.Wait()
	}
}

func (p *memPipe) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// memConn is one end of an in-memory, buffered connection. It shares no state with
// other connections, so it works inside a synctest bubble.
type memConn struct {
	in, out *memPipe
}

// newMemConn returns both ends. A write blocks while its direction holds limit
// bytes.
func newMemConn(limit int) (a, b *memConn) {
	one, two := newMemPipe(limit), newMemPipe(limit)

	return &memConn{in: one, out: two}, &memConn{in: two, out: one}
}

const plenty = 64 << 20

func (c *memConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *memConn) Close() error {
	c.SetDeadline(time.Time{}) //nolint:errcheck // it has no error
	c.in.set(func() { c.in.readerGone = true })
	c.out.set(func() { c.out.eof = true })

	return nil
}

func (c *memConn) CloseWrite() error {
	c.out.set(func() { c.out.eof = true })

	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readDeadline, t)
	c.out.setDeadline(&c.out.writeDeadline, t)

	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readDeadline, t)

	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeDeadline, t)

	return nil
}

type memAddr struct{}

func (memAddr) Network() string { return "mem" }
func (memAddr) String() string  { return "mem" }

func (*memConn) LocalAddr() net.Addr  { return memAddr{} }
func (*memConn) RemoteAddr() net.Addr { return memAddr{} }

// noHalfClose hides CloseWrite.
type noHalfClose struct{ net.Conn }

// failWrites makes every write fail.
type failWrites struct {
	net.Conn
	err error
}

func (c failWrites) Write([]byte) (int, error) { return 0, c.err }

// tcpPair returns both ends of a loopback connection.
func tcpPair(tb testing.TB) (a, b net.Conn) {
	tb.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nothing was written

	if a, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		tb.Fatal(err)
	}

	if b, err = listener.Accept(); err != nil {
		tb.Fatal(err)
	}

	return a, b
}
