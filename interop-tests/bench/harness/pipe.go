package harness

import (
	"errors"
	"net"
)

// Handler receives one message. The slice is valid only during the call.
type Handler func(ch byte, msg []byte)

// Pipe is a connected pair of ends, A and B, in this process.
type Pipe struct {
	// Send sends from A to B and reports whether the message was accepted. It may return
	// before the message is sent, and blocks while the queue is full. The harness does not
	// change msg afterwards.
	Send func(ch byte, msg []byte) bool
	// Reply sends from B to A. It is nil if no case uses it.
	Reply func(ch byte, msg []byte) bool
	// Close ends both.
	Close func() error
}

// Opener makes a connected pair. onB is called for each message that B receives, and onA
// for each that A receives, one at a time.
type Opener func(onB, onA Handler) (*Pipe, error)

// ignore is the Handler of an end that receives nothing.
func ignore(byte, []byte) {}

// TCPPair returns both ends of a TCP connection on the loopback interface.
func TCPPair() (a, b *net.TCPConn, err error) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	// The kernel completes the connection before Accept.
	a, err = net.DialTCP("tcp", nil, ln.Addr().(*net.TCPAddr))
	if err != nil {
		return nil, nil, errors.Join(err, ln.Close())
	}
	b, err = ln.AcceptTCP()
	if err := errors.Join(err, ln.Close()); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}

	return a, b, nil
}

// SecurePair runs a handshake on both ends of a TCP connection concurrently.
func SecurePair[C net.Conn](secure func(net.Conn) (C, error)) (a, b C, err error) {
	type end struct {
		conn C
		err  error
	}
	handshake := func(c net.Conn) end {
		conn, err := secure(c)
		if err != nil {
			err = errors.Join(err, c.Close()) // so that the other end does not wait
		}

		return end{conn, err}
	}

	x, y, err := TCPPair()
	if err != nil {
		return a, b, err
	}
	other := make(chan end, 1)
	go func() { other <- handshake(y) }()
	ends := []end{handshake(x), <-other}
	if err := errors.Join(ends[0].err, ends[1].err); err != nil {
		for _, e := range ends {
			if e.err == nil {
				err = errors.Join(err, e.conn.Close())
			}
		}

		return a, b, err
	}

	return ends[0].conn, ends[1].conn, nil
}

// StreamPipe makes a Pipe of two ends of a byte stream. The result of each Read, with a
// buffer of ReadBuffer bytes, counts as a message.
func StreamPipe(a, b net.Conn, onB, onA Handler) *Pipe {
	ended := make(chan struct{}, 2)
	for _, end := range []struct {
		conn net.Conn
		on   Handler
	}{{a, onA}, {b, onB}} {
		go func() {
			defer func() { ended <- struct{}{} }()
			readAll(end.conn, end.on)
		}()
	}

	return &Pipe{
		Send:  func(_ byte, msg []byte) bool { return write(a, msg) },
		Reply: func(_ byte, msg []byte) bool { return write(b, msg) },
		Close: func() error {
			err := errors.Join(a.Close(), b.Close())
			<-ended
			<-ended

			return err
		},
	}
}

// readAll reads until the stream ends.
func readAll(conn net.Conn, on Handler) {
	buf := make([]byte, ReadBuffer)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			on(0, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func write(conn net.Conn, msg []byte) bool {
	_, err := conn.Write(msg)

	return err == nil
}
