package native

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is one direction of an in-memory connection. It buffers without limit,
// as both sides of a handshake write first, and can misbehave.
type stream struct {
	mtx     sync.Mutex
	changed *sync.Cond

	data     []byte
	writeErr error // for the next write
	readErr  error // once data is used up
	gone     bool  // closed by the reader

	readBy  time.Time
	writeBy time.Time

	filter   func(b []byte) []byte // what becomes of a write; nil: nothing
	interval time.Duration         // between two bytes that the reader gets
	nextByte time.Time
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mtx)

	return s
}

// set changes the stream and wakes whoever waits for it.
func (s *stream) set(change func()) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	change()
	s.changed.Broadcast()
}

// wakeAt wakes whoever waits when the time has come.
func (s *stream) wakeAt(t time.Time) {
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { s.set(func() {}) })
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (s *stream) read(b []byte) (int, error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	for {
		switch {
		case s.gone:
			return 0, net.ErrClosed
		case passed(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0 && !time.Now().Before(s.nextByte):
			return s.take(b), nil
		case len(s.data) == 0 && s.readErr != nil:
			return 0, s.readErr
		}
		s.changed.Wait()
	}
}

// take moves what the reader gets. The caller holds mtx.
func (s *stream) take(b []byte) int {
	if s.interval > 0 {
		b = b[:min(1, len(b))]
		s.nextByte = time.Now().Add(s.interval)
		s.wakeAt(s.nextByte)
	}
	n := copy(b, s.data)
	s.data = s.data[n:]

	return n
}

func (s *stream) write(b []byte) (int, error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	switch {
	case s.writeErr != nil:
		return 0, s.writeErr
	case s.gone:
		return 0, syscall.EPIPE
	case passed(s.writeBy):
		return 0, os.ErrDeadlineExceeded
	}
	n := len(b)
	if s.filter != nil {
		b = s.filter(b)
	}
	s.data = append(s.data, b...)
	s.changed.Broadcast()

	return n, nil
}

// pending is how many bytes wait for the reader.
func (s *stream) pending() int {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return len(s.data)
}

// linkConn is one end of a link.
type linkConn struct {
	in, out       *stream
	local, remote *net.TCPAddr
}

// newLink connects two addresses.
func newLink(a, b *net.TCPAddr) (atA, atB *linkConn) {
	toA, toB := newStream(), newStream()

	return &linkConn{in: toA, out: toB, local: a, remote: b}, &linkConn{in: toB, out: toA, local: b, remote: a}
}

func (c *linkConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *linkConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *linkConn) LocalAddr() net.Addr         { return c.local }
func (c *linkConn) RemoteAddr() net.Addr        { return c.remote }

// CloseWrite ends the stream to the other end.
func (c *linkConn) CloseWrite() error {
	c.out.set(func() {
		if c.out.readErr == nil {
			c.out.readErr = io.EOF
		}
		c.out.writeErr = net.ErrClosed
	})

	return nil
}

func (c *linkConn) Close() error {
	c.in.set(func() { c.in.gone = true })

	return c.CloseWrite()
}

func (c *linkConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}

	return c.SetWriteDeadline(t)
}

func (c *linkConn) SetReadDeadline(t time.Time) error {
	c.in.set(func() { c.in.readBy = t })
	c.in.wakeAt(t)

	return nil
}

func (c *linkConn) SetWriteDeadline(t time.Time) error {
	c.out.set(func() { c.out.writeBy = t })

	return nil
}

// closed reports whether this end was closed.
func (c *linkConn) closed() bool {
	c.in.mtx.Lock()
	defer c.in.mtx.Unlock()

	return c.in.gone
}

// writeErrOrGone is why a write would fail, or nil.
func (s *stream) writeErrOrGone() error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.gone {
		return syscall.EPIPE
	}

	return s.writeErr
}
