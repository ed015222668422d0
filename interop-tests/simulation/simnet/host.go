package simnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// firstPort is the first port that is assigned for port 0.
const firstPort = 49152

// Host is one machine. All methods may be called concurrently.
type Host struct {
	network *Network
	ip      netip.Addr
	counters

	mtx       sync.Mutex
	vanished  bool
	gone      chan struct{} // closed when it vanishes
	listeners map[uint16]*listener
	conns     map[*conn]struct{}
	nextPort  uint16
}

// Traffic returns the host's traffic so far.
func (h *Host) Traffic() Traffic { return h.traffic() }

// Conns returns how many connections are open, in both directions.
func (h *Host) Conns() int {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return len(h.conns)
}

// Vanish disconnects the host, like a power failure. Data under way is lost, and neither
// side gets an error.
func (h *Host) Vanish() {
	h.mtx.Lock()
	if h.vanished {
		h.mtx.Unlock()

		return
	}
	h.vanished = true
	close(h.gone)
	cut := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		cut = append(cut, c)
	}
	h.mtx.Unlock()
	for _, c := range cut {
		c.in.cut()
		c.out.cut()
	}
}

// Listen listens for connections at a port. Port 0 means any free port.
func (h *Host) Listen(port uint16) (net.Listener, error) {
	h.mtx.Lock()
	defer h.mtx.Unlock()
	if port == 0 {
		port = h.port()
	}
	if h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: h.addr(port), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := newListener(h, port)
	h.listeners[port] = l

	return l, nil
}

// port returns a free port for port 0. The caller holds the lock.
func (h *Host) port() uint16 {
	port := h.nextPort
	if h.nextPort++; h.nextPort == 0 {
		h.nextPort = firstPort
	}

	return port
}

func (h *Host) addr(port uint16) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, port))
}

// DialContext is like the method of net.Dialer, for addresses of the form ip:port. Its errors
// are those of package net: a *net.OpError, for example refused or timed out.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h.dials.Add(1)
	c, err := h.dial(ctx, address)
	if err != nil {
		h.dialsFailed.Add(1)

		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}

	return c, nil
}

func (h *Host) dial(ctx context.Context, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	latency := h.network.latency(h.ip, at.Addr())
	if err := h.travel(ctx, latency); err != nil {
		return nil, err
	}
	remote := h.network.host(at.Addr())
	if remote == nil {
		return nil, silence(ctx)
	}
	l, there := remote.listener(at.Port())
	if !there {
		return nil, silence(ctx)
	}
	if l == nil {
		if err := h.travel(ctx, latency); err != nil {
			return nil, err
		}

		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	near, far := h.connect(remote, at.Port(), latency)
	if err := l.offer(ctx, far); err != nil {
		_, _ = near.Close(), far.Close() // never used
		return nil, err
	}
	if err := h.travel(ctx, latency); err != nil {
		_ = near.Close() // the remote gets io.EOF
		return nil, err
	}

	return near, nil
}

// travel waits until data sent now has arrived. If the host has vanished meanwhile, it waits
// until the context ends.
func (h *Host) travel(ctx context.Context, latency time.Duration) error {
	if err := sleep(ctx, latency); err != nil {
		return err
	}
	select {
	case <-h.gone:
		return silence(ctx)
	default:
		return nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// silence waits for an answer that never arrives, until the context ends.
func silence(ctx context.Context) error {
	<-ctx.Done()

	return ctx.Err()
}

// listener returns the listener at the port, nil for none, and whether the host answers.
func (h *Host) listener(port uint16) (*listener, bool) {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return h.listeners[port], !h.vanished
}

// connect makes the two ends of a connection.
func (h *Host) connect(remote *Host, port uint16, latency time.Duration) (near, far *conn) {
	h.mtx.Lock()
	local := h.addr(h.port())
	h.mtx.Unlock()
	to := newPipe(latency, &h.counters, &remote.counters)
	from := newPipe(latency, &remote.counters, &h.counters)
	near = &conn{host: h, in: from, out: to, local: local, remote: remote.addr(port)}
	far = &conn{host: remote, in: to, out: from, local: remote.addr(port), remote: local}
	h.add(near)
	remote.add(far)

	return near, far
}

// add registers a connection. It cuts the connection if the host has vanished.
func (h *Host) add(c *conn) {
	h.mtx.Lock()
	h.conns[c] = struct{}{}
	vanished := h.vanished
	h.mtx.Unlock()
	if vanished {
		c.in.cut()
		c.out.cut()
	}
}

func (h *Host) forget(c *conn) {
	h.mtx.Lock()
	defer h.mtx.Unlock()
	delete(h.conns, c)
}
