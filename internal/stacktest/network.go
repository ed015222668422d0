package stacktest

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Network joins hosts by TCP over one kind of path, in memory. A dial takes a round trip, and
// the listener accepts half of one later. It works in a bubble of testing/synctest.
type Network struct {
	Path

	mtx       sync.Mutex
	port      int // of the last dialer
	listeners map[string]*pathListener
	dials     int
}

// Dials returns how many connections were dialed.
func (n *Network) Dials() int {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.dials
}

// Host has the sockets of one IP. It implements compat.Sockets.
type Host struct {
	net *Network
	ip  net.IP
}

// Host returns the host with this IP.
func (n *Network) Host(ip net.IP) Host { return Host{n, ip} }

// Listen implements compat.Sockets. The port must not be 0.
func (h Host) Listen(network, address string) (net.Listener, error) {
	at, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	l := &pathListener{net: h.net, at: at, backlog: make(chan acceptable, 128), closed: make(chan struct{})}
	h.net.mtx.Lock()
	defer h.net.mtx.Unlock()
	if h.net.listeners == nil {
		h.net.listeners = make(map[string]*pathListener)
	}
	h.net.listeners[key(at)] = l

	return l, nil
}

func key(at *net.TCPAddr) string { return net.JoinHostPort(at.IP.String(), strconv.Itoa(at.Port)) }

// DialContext implements compat.Sockets.
func (h Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(2 * h.net.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.net.mtx.Lock()
	l := h.net.listeners[key(to)]
	h.net.port++
	h.net.dials++
	from := &net.TCPAddr{IP: h.ip, Port: 1<<15 + h.net.port}
	h.net.mtx.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	near, far := h.net.connect(from, to)
	select {
	case l.backlog <- acceptable{far, time.Now().Add(h.net.Delay)}:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pathListener struct {
	net     *Network
	at      *net.TCPAddr
	backlog chan acceptable
	closed  chan struct{}
	once    sync.Once
}

// acceptable is a connection whose last packet of the handshake arrives at a time.
type acceptable struct {
	conn net.Conn
	due  time.Time
}

// Accept implements net.Listener.
func (l *pathListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.backlog:
		timer := time.NewTimer(time.Until(a.due))
		defer timer.Stop()
		select {
		case <-timer.C:
			return a.conn, nil
		case <-l.closed:
			_ = a.conn.Close()
		}
	case <-l.closed:
	}

	return nil, net.ErrClosed
}

// Addr implements net.Listener.
func (l *pathListener) Addr() net.Addr { return l.at }

// Close implements net.Listener. Connections that were not accepted end.
func (l *pathListener) Close() error {
	l.once.Do(func() {
		l.net.mtx.Lock()
		delete(l.net.listeners, key(l.at))
		l.net.mtx.Unlock()
		close(l.closed)
	})
	for {
		select {
		case a := <-l.backlog:
			_ = a.conn.Close()
		default:
			return nil
		}
	}
}
