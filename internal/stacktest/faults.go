package stacktest

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// retransmission is how long a lost segment is late: the shortest timeout of TCP on Linux.
const retransmission = 200 * time.Millisecond

// Faults are the faults of a network path, as an end of a TCP connection sees them: TCP repairs
// what the network loses, so bytes come late, or not at all when the connection breaks. The
// zero value has none.
type Faults struct {
	// Delay is added to what is sent.
	Delay time.Duration
	// Loss is the share of writes, 0 to 1, that are lost once or more often, and so come later.
	Loss float64
	// Cut holds back what is sent.
	Cut bool
}

// FaultySockets are the system's TCP with faults in what their node sends. It implements
// compat.Sockets. All methods may be called concurrently. The zero value is ready for use.
type FaultySockets struct {
	mtx       sync.Mutex
	faults    Faults
	changed   chan struct{} // closed when the faults change
	conns     map[*faultyConn]struct{}
	listeners map[net.Listener]struct{}
	dead      bool
}

// Set replaces the faults, also for what has been written and not sent.
func (s *FaultySockets) Set(f Faults) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.faults = f
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

// current returns the faults, and a channel that is closed when they change.
func (s *FaultySockets) current() (Faults, <-chan struct{}) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}

	return s.faults, s.changed
}

// Break resets all connections, as the other side sees it when a process is killed.
func (s *FaultySockets) Break() {
	s.mtx.Lock()
	conns := s.conns
	s.conns = nil
	s.mtx.Unlock()
	for c := range conns {
		c.reset()
	}
}

// Kill is Break, and ends the listeners and further dials: the node can say nothing any more.
func (s *FaultySockets) Kill() {
	s.mtx.Lock()
	s.dead = true
	listeners := s.listeners
	s.listeners = nil
	s.mtx.Unlock()
	for l := range listeners {
		_ = l.Close() // the node closes it again
	}
	s.Break()
}

// DialContext implements compat.Sockets.
func (s *FaultySockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.mtx.Lock()
	dead := s.dead
	s.mtx.Unlock()
	if dead {
		return nil, net.ErrClosed
	}
	conn, err := socket.System{}.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}

	return s.wrap(conn), nil
}

// Listen implements compat.Sockets.
func (s *FaultySockets) Listen(network, address string) (net.Listener, error) {
	l, err := socket.System{}.Listen(network, address)
	if err != nil {
		return nil, err
	}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
	}
	fl := &faultyListener{Listener: l, sockets: s, close: sync.OnceValue(l.Close)}
	s.listeners[fl] = struct{}{}

	return fl, nil
}

type faultyListener struct {
	net.Listener
	sockets *FaultySockets
	close   func() error
}

// Close closes the listener. To close it again, after Kill, is no error.
func (l *faultyListener) Close() error { return l.close() }

func (l *faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}

	return l.sockets.wrap(conn), nil
}

func (s *FaultySockets) wrap(conn net.Conn) net.Conn {
	c := &faultyConn{Conn: conn, sockets: s, wake: make(chan struct{}, 1), closed: make(chan struct{}), sent: make(chan struct{})}
	s.mtx.Lock()
	if s.conns == nil {
		s.conns = make(map[*faultyConn]struct{})
	}
	s.conns[c] = struct{}{}
	s.mtx.Unlock()
	go c.send() // ends with the connection, which its node closes

	return c
}

// faultyConn sends what is written later, in order, and without a limit: its users send little.
type faultyConn struct {
	net.Conn
	sockets *FaultySockets
	wake    chan struct{}
	closed  chan struct{}
	sent    chan struct{} // closed when nothing more is sent
	once    sync.Once

	mtx   sync.Mutex
	queue []piece
	err   error // of the writer
}

type piece struct {
	data    []byte
	written time.Time
	late    time.Duration // because it was lost
}

func (c *faultyConn) Write(b []byte) (int, error) {
	f, _ := c.sockets.current()
	var late time.Duration
	for wait := retransmission; late < 4*time.Second && rand.Float64() < f.Loss; wait *= 2 {
		late += wait
	}
	c.mtx.Lock()
	err := c.err
	if err == nil {
		c.queue = append(c.queue, piece{append([]byte(nil), b...), time.Now(), late})
	}
	c.mtx.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}

	return len(b), nil
}

func (c *faultyConn) next() (p piece, ok bool) {
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if len(c.queue) == 0 {
		return p, false
	}
	p, c.queue = c.queue[0], c.queue[1:]

	return p, true
}

// send sends the pieces until the connection ends.
func (c *faultyConn) send() {
	defer close(c.sent)
	for {
		p, ok := c.next()
		if !ok {
			select {
			case <-c.wake:
				continue
			case <-c.closed:
				return
			}
		}
		if !c.pass(p) {
			return
		}
		if _, err := c.Conn.Write(p.data); err != nil {
			c.mtx.Lock()
			c.err = err
			c.mtx.Unlock()

			return
		}
	}
}

// pass waits until the piece may be sent. It returns false if the connection is closed before.
func (c *faultyConn) pass(p piece) bool {
	for {
		f, changed := c.sockets.current()
		var due <-chan time.Time
		if !f.Cut {
			wait := time.Until(p.written.Add(f.Delay + p.late))
			if wait <= 0 {
				return true
			}
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-c.closed:
			return !f.Cut // a close does not overtake what was written
		}
	}
}

// Close sends what may be sent, as TCP does, but for a second at most, and closes the connection.
func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // it may be closed already
	<-c.sent
	c.sockets.mtx.Lock()
	delete(c.sockets.conns, c)
	c.sockets.mtx.Unlock()

	return c.Conn.Close()
}

func (c *faultyConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	_ = c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
}
