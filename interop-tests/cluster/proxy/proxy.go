// Package proxy stands between a node and those that dial it, over TCP and UDP alike,
// and makes the network worse than a loopback interface is: what passes arrives late,
// and connections are cut.
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
	queueLength  = 1024     // chunks under way, of one direction of one connection
	acceptBuffer = 4 << 20  // bytes the system keeps of UDP packets
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
	flows map[string]*flow       // by the UDP address of who dials
}

// Start forwards what arrives at listen, an IP:port, to target. Each chunk arrives
// after a delay of its own, but none before an earlier one; a nil delay is none.
// Delay is called by several goroutines.
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

// Cut closes the TCP connections that exist now, and returns how many. New ones are
// forwarded.
func (p *Proxy) Cut() int {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	cut := len(p.conns) / 2
	for c := range p.conns {
		_ = c.Close() // its other end may have closed it
		delete(p.conns, c)
	}

	return cut
}

// Close ends everything and waits for it.
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

// forward runs one connection. A target that refuses is one that hangs up.
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
			// One end is gone: the other one is to notice.
			p.drop(conn)
			p.drop(target)
		})
	}
	wg.Wait()
}

// keep lets Cut and Close end a connection, unless they have run already.
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
	_ = c.Close() // it may be closed
}

// copyLate copies until either end fails. What was read before the end still arrives.
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

// flow is the packets of one UDP address.
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
			continue // lost, as packets may be
		}
		f.line.tryPut(packet[:n])
	}
}

// endFlows runs on the goroutine that puts packets into them.
func (p *Proxy) endFlows() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for _, f := range p.flows {
		_ = f.target.Close() // ends answer
		f.line.close()
	}
}

// flowOf returns the flow of who dials, which lives until Close.
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

// answer forwards the packets of the target.
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
		// Other errors say that nobody listens at the target now.
	}
}

type packetWriter struct {
	conn *net.UDPConn
	to   *net.UDPAddr
}

// Write implements io.Writer.
func (w packetWriter) Write(packet []byte) (int, error) { return w.conn.WriteToUDP(packet, w.to) }
