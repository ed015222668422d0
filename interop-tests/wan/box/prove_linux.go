package box

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	proofPort   = 7000
	proofPacket = 32 // bytes of a UDP payload
	// afterwards is how long the last UDP packets may take in addition to the path.
	afterwards = 2 * time.Second
)

// Prove measures a box with two places and returns what plain UDP and TCP met: count UDP
// round trips, one each interval, and, unless it is 0, during of a TCP stream.
func Prove(c Config, count int, interval, during time.Duration) (p Proof, err error) {
	c.Places = 2
	b, err := New(c)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	p.Asked, p.Uplink, p.Sent, p.Prioritized = b.Path(0, 1), b.router.ports[0].exit.Uplink, count, b.Prioritized()
	if err := p.roundTrips(b, interval); err != nil {
		return p, err
	}
	if during > 0 {
		if err := p.stream(b, during); err != nil {
			return p, err
		}
	}
	p.Late = b.Late()

	return p, nil
}

// roundTrips sends UDP packets that the other place returns.
func (p *Proof) roundTrips(b *Box, interval time.Duration) error {
	far, near, err := udpPair(b)
	if err != nil {
		return err
	}
	echoed := make(chan struct{})
	go func() { // ends when far is closed
		defer close(echoed)
		buf := make([]byte, proofPacket)
		for {
			n, from, err := far.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if _, err := far.WriteToUDPAddrPort(buf[:n], from); err != nil {
				return
			}
		}
	}()
	sent := make(chan error, 1)
	begun := time.Now()
	go func() { sent <- sendStamps(near, p.Sent, interval, begun) }()
	took, receiveErr := p.receiveStamps(near, sent, begun)
	err = errors.Join(receiveErr, far.Close(), near.Close())
	<-echoed
	if err == nil && len(took) == 0 {
		err = errors.New("no UDP packet came back")
	}
	if err != nil {
		return err
	}
	slices.Sort(took)
	p.Returned = len(took)
	p.RoundTrip = [2]time.Duration{took[len(took)/2], took[len(took)*99/100]}

	return nil
}

// udpPair opens a socket at place 1, and one at place 0 that is connected to it.
func udpPair(b *Box) (far, near *net.UDPConn, err error) {
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(b.Place(1).Addr(), proofPort))
	if err = b.Place(1).Do(func() error { far, err = net.ListenUDP("udp4", addr); return err }); err != nil {
		return nil, nil, err
	}
	if err = b.Place(0).Do(func() error { near, err = net.DialUDP("udp4", nil, addr); return err }); err != nil {
		return nil, nil, errors.Join(err, far.Close())
	}

	return far, near, nil
}

// sendStamps sends packets with their number and time.
func sendStamps(to *net.UDPConn, count int, interval time.Duration, begun time.Time) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	packet := make([]byte, proofPacket)
	for i := range count {
		binary.BigEndian.PutUint64(packet, uint64(i))
		binary.BigEndian.PutUint64(packet[8:], uint64(time.Since(begun)))
		if _, err := to.Write(packet); err != nil {
			return err
		}
		<-ticks.C
	}

	return nil
}

// receiveStamps returns the round trips of the packets that come back until a while after the
// last was sent.
func (p *Proof) receiveStamps(from *net.UDPConn, sent <-chan error, begun time.Time) ([]time.Duration, error) {
	go func() {
		// Reading ends a while after the sender has, or at once if that has failed.
		err := <-sent
		wait := 2*(p.Asked.Delay+p.Asked.Jitter+p.Asked.ReorderBy) + afterwards
		if err != nil {
			wait = 0
		}
		_ = from.SetReadDeadline(time.Now().Add(wait)) // fails only on a closed socket, which ends reading too
	}()
	var (
		took []time.Duration
		most = -1
		buf  = make([]byte, proofPacket)
	)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return took, nil
		}
		if err != nil || n != proofPacket {
			return took, fmt.Errorf("UDP packet of %d bytes: %w", n, err)
		}
		took = append(took, time.Since(begun)-time.Duration(binary.BigEndian.Uint64(buf[8:])))
		if number := int(binary.BigEndian.Uint64(buf)); number < most {
			p.Overtaken++
		} else {
			most = number
		}
		if len(took) == p.Sent {
			return took, nil
		}
	}
}

// stream measures the rate at which TCP payload arrives, once the stream had a third of the
// time to become fast.
func (p *Proof) stream(b *Box, during time.Duration) error {
	far, near, err := tcpPair(b)
	if err != nil {
		return err
	}
	defer func() { _, _ = far.Close(), near.Close() }() // an error before says more; after one, nothing is lost
	for _, c := range []*net.TCPConn{far, near} {
		name, err := congestionOf(c)
		if err != nil {
			return err
		}
		if p.Congestion != "" && p.Congestion != name {
			name = p.Congestion + " and " + name
		}
		p.Congestion = name
	}
	first, all := time.Now(), int64(0)
	written := make(chan error, 1)
	go func() {
		_, err := io.Copy(near, zeros{})
		written <- err
	}()
	for _, d := range []time.Duration{during / 3, during - during/3} {
		begun := time.Now()
		if err := far.SetReadDeadline(begun.Add(d)); err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, far)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("TCP stream: %w", err)
		}
		all += n
		p.Rate, p.Whole = bits(n, begun), bits(all, first)
	}
	_ = near.Close() // ends the writer
	<-written

	return nil
}

// bits returns the rate of n bytes since a time, in bits per second.
func bits(n int64, since time.Time) float64 { return float64(n) * 8 / time.Since(since).Seconds() }

// tcpPair connects place 0 to place 1.
func tcpPair(b *Box) (far, near *net.TCPConn, err error) {
	addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.Place(1).Addr(), proofPort))
	var l *net.TCPListener
	if err = b.Place(1).Do(func() error { l, err = net.ListenTCP("tcp4", addr); return err }); err != nil {
		return nil, nil, err
	}
	if err = b.Place(0).Do(func() error { near, err = net.DialTCP("tcp4", nil, addr); return err }); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	if far, err = l.AcceptTCP(); err != nil {
		return nil, nil, errors.Join(err, near.Close(), l.Close())
	}

	return far, near, l.Close()
}

// congestionOf returns the congestion control that a connection uses.
func congestionOf(c *net.TCPConn) (name string, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	controlErr := raw.Control(func(fd uintptr) {
		name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	})

	return name, errors.Join(err, controlErr)
}

// zeros is an endless stream.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) { return len(p), nil }
