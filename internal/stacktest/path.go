package stacktest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Path is a way between two hosts with its distance and its rate, in memory. It keeps
// everything in order and loses nothing. Its times are those of testing/synctest in a bubble, where
// a far and slow path costs no time.
type Path struct {
	Delay  time.Duration // of each way
	Rate   int           // bytes a second, each way
	Unsent int           // bytes that Write takes before the path has sent them; one segment more is taken
}

// segment is the most bytes that arrive together.
const segment = 4 << 10

// Connect returns the ends of a connection, each a socket.Path. As with TCP, Write waits while
// more than Unsent bytes are not sent, but never for the remote to read.
func (p Path) Connect() (near, far net.Conn) {
	return p.connect(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40000}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 26656})
}

func (p Path) connect(from, to net.Addr) (near, far net.Conn) {
	there, back := newPathPipe(p), newPathPipe(p)

	return &pathConn{in: back, out: there, local: from, remote: to}, &pathConn{in: there, out: back, local: to, remote: from}
}

// pathConn is one end of a connection.
type pathConn struct {
	in, out       *pathPipe
	local, remote net.Addr
}

func (c *pathConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *pathConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *pathConn) LocalAddr() net.Addr         { return c.local }
func (c *pathConn) RemoteAddr() net.Addr        { return c.remote }
func (c *pathConn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.readBy = t })

	return nil
}

func (c *pathConn) SetWriteDeadline(t time.Time) error {
	c.out.change(func() { c.out.writeBy = t })

	return nil
}

func (c *pathConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close is noticed by the other end after what was written.
func (c *pathConn) Close() error {
	c.in.change(func() { c.in.readerGone = true })
	c.out.change(func() { c.out.writerGone = true })

	return nil
}

// DeliveryRate implements socket.Path.
func (c *pathConn) DeliveryRate() (int64, error) { return int64(c.out.path.Rate), nil }

// LimitUnsent implements socket.Path.
func (c *pathConn) LimitUnsent(bytes int) error {
	c.out.change(func() { c.out.path.Unsent = bytes })

	return nil
}

// pathPipe is one direction.
type pathPipe struct {
	path Path // its Unsent is guarded by mtx

	mtx                    sync.Mutex
	changed                chan struct{} // closed at each change
	packets                []packet
	sent                   time.Time // when the last byte has left
	readerGone, writerGone bool      // that end is closed
	readBy, writeBy        time.Time // deadlines; zero: none
}

type packet struct {
	data []byte
	due  time.Time
}

func newPathPipe(p Path) *pathPipe { return &pathPipe{path: p, changed: make(chan struct{})} }

// change calls f with the lock held, and wakes those that wait.
func (p *pathPipe) change(f func()) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait releases the lock until something changes, or until one of the two times; zero stands
// for never. Callers hold the lock.
func (p *pathPipe) wait(due, deadline time.Time) {
	changed := p.changed
	p.mtx.Unlock()
	defer p.mtx.Lock()
	if due.IsZero() || (!deadline.IsZero() && deadline.Before(due)) {
		due = deadline
	}
	if due.IsZero() {
		<-changed

		return
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

func (p *pathPipe) read(b []byte) (int, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for {
		var due time.Time
		switch {
		case p.readerGone:
			return 0, net.ErrClosed
		case passed(p.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(p.packets) == 0 && p.writerGone:
			return 0, io.EOF
		case len(p.packets) > 0:
			if due = p.packets[0].due; !time.Now().Before(due) {
				return p.take(b), nil
			}
		}
		p.wait(due, p.readBy)
	}
}

// take copies what has arrived of the first packet. The caller holds the lock.
func (p *pathPipe) take(b []byte) int {
	first := &p.packets[0]
	n := copy(b, first.data)
	if first.data = first.data[n:]; len(first.data) == 0 {
		p.packets = p.packets[1:]
	}

	return n
}

func (p *pathPipe) write(b []byte) (written int, err error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for written < len(b) {
		now := time.Now()
		room := p.sent.Add(-p.duration(p.path.Unsent)) // when so much is unsent
		switch {
		case p.writerGone || p.readerGone:
			return written, net.ErrClosed
		case passed(p.writeBy):
			return written, os.ErrDeadlineExceeded
		case room.After(now):
			p.wait(room, p.writeBy)

			continue
		}
		data := append([]byte(nil), b[written:min(len(b), written+segment)]...)
		written += len(data)
		if p.sent.Before(now) {
			p.sent = now
		}
		p.sent = p.sent.Add(p.duration(len(data)))
		p.packets = append(p.packets, packet{data, p.sent.Add(p.path.Delay)})
		close(p.changed)
		p.changed = make(chan struct{})
	}

	return written, nil
}

// duration is how long the path takes to send n bytes.
func (p *pathPipe) duration(n int) time.Duration {
	return time.Duration(float64(n) / float64(p.path.Rate) * float64(time.Second))
}
