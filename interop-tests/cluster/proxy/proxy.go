// Package proxy forwards TCP connections and UDP packets to a node. It makes the network
// worse than a loopback interface: it delays data and cuts connections.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize    = 32 << 10 // more than a UDP packet of QUIC
	queueLength  = 1024     // chunks under way in one direction of one connection
	acceptBuffer = 4 << 20  // bytes of UDP packets that the system buffers
)

// Proxy forwards the connections and packets that arrive at its address.
type Proxy struct {
	target string
	delay  func() time.Duration
	tcp    *net.TCPListener
	udp    *net.UDPConn

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mtx   sync.Mutex
	conns map[io.Closer]struct{} // both ends of TCP connections
	flows map[string]*flow       // by the UDP address of the dialer
}

// Start returns a proxy that forwards from listen, an IP:port, to target. It calls delay for
// each chunk, from several goroutines. Chunks keep their order. A nil delay means no delay.
func Start(listen, target string, delay func() time.Duration) (*Proxy, error) {
	if delay == nil {
		delay = func() time.Duration { return 0 }
	}
	tcp, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenPacket("udp", listen)
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	p := &Proxy{
		target: target, delay: delay, tcp: tcp.(*net.TCPListener), udp: udp.(*net.UDPConn),
		conns: make(map[io.Closer]struct{}), flows: make(map[string]*flow),
	}
	if err := p.udp.SetReadBuffer(acceptBuffer); err != nil {
		return nil, errors.Join(err, tcp.Close(), udp.Close())
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.acceptConns)
	p.wg.Go(p.acceptPackets)

	return p, nil
}

// Cut closes all current TCP connections and returns their number. New connections are
// forwarded.
func (p *Proxy) Cut() int {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	cut := len(p.conns) / 2
	for c := range p.conns {
		_ = c.Close() // may be closed
		delete(p.conns, c)
	}

	return cut
}

// Close closes the proxy and waits for its goroutines.
func (p *Proxy) Close() error {
	p.cancel()
	err := errors.Join(p.tcp.Close(), p.udp.Close())
	p.Cut()
	p.wg.Wait()

	return err
}

func (p *Proxy) acceptConns() {
	for {
		conn, err := p.tcp.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() { p.forward(conn) })
	}
}

// forward runs one connection. When the target refuses, it closes the connection.
func (p *Proxy) forward(conn net.Conn) {
	defer p.drop(conn)
	target, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(target)
	if !p.keep(conn, target) {
		return
	}
	var wg sync.WaitGroup
	for _, d := range [][2]net.Conn{{conn, target}, {target, conn}} {
		wg.Go(func() {
			p.copyLate(d[1], d[0])
			// One end has closed. Close the other too.
			p.drop(conn)
			p.drop(target)
		})
	}
	wg.Wait()
}

// keep registers a connection for Cut and Close. It returns false when the proxy is closed.
func (p *Proxy) keep(conn, target net.Conn) bool {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.conns[conn], p.conns[target] = struct{}{}, struct{}{}

	return true
}

func (p *Proxy) drop(c io.Closer) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	delete(p.conns, c)
	_ = c.Close() // may be closed
}

// copyLate copies with delay until either end fails. Data that was read before the end still
// arrives.
func (p *Proxy) copyLate(to io.Writer, from io.Reader) {
	l := p.newLine(to, false)
	defer l.close()
	for {
		chunk := make([]byte, chunkSize)
		n, err := from.Read(chunk)
		if n > 0 && !l.put(chunk[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

// flow carries the packets of one UDP address.
type flow struct {
	target *net.UDPConn
	line   *line
}

func (p *Proxy) acceptPackets() {
	defer p.endFlows()
	for {
		packet := make([]byte, chunkSize)
		n, from, err := p.udp.ReadFromUDP(packet)
		if err != nil {
			return // closed
		}
		f, err := p.flowOf(from)
		if err != nil {
			continue // drop the packet
		}
		f.line.tryPut(packet[:n])
	}
}

// endFlows ends all flows. It runs on the goroutine that puts packets into them.
func (p *Proxy) endFlows() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for _, f := range p.flows {
		_ = f.target.Close() // ends answer
		f.line.close()
	}
}

// flowOf returns the flow of a dialer. A flow exists until Close.
func (p *Proxy) flowOf(from *net.UDPAddr) (*flow, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if f := p.flows[from.String()]; f != nil {
		return f, nil
	}
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := net.Dial("udp", p.target)
	if err != nil {
		return nil, fmt.Errorf("flow from %s: %w", from, err)
	}
	f := &flow{target: conn.(*net.UDPConn), line: p.newLine(conn, true)}
	p.flows[from.String()] = f
	p.wg.Go(func() { p.answer(f, from) })

	return f, nil
}

// answer forwards the packets of the target to the dialer.
func (p *Proxy) answer(f *flow, to *net.UDPAddr) {
	back := p.newLine(packetWriter{p.udp, to}, true)
	defer back.close()
	for {
		packet := make([]byte, chunkSize)
		n, err := f.target.Read(packet)
		switch {
		case err == nil:
			back.tryPut(packet[:n])
		case errors.Is(err, net.ErrClosed):
			return
		}
		// Other errors mean that the target does not listen now.
	}
}

type packetWriter struct {
	conn *net.UDPConn
	to   *net.UDPAddr
}

// Write implements io.Writer.
func (w packetWriter) Write(packet []byte) (int, error) { return w.conn.WriteToUDP(packet, w.to) }
