package pair

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
)

// tcpNode has a TCP connection for each channel, with nothing but a length in front of each
// message. It shows what the network and its congestion control allow.
type tcpNode struct {
	on       handler
	lost     func(error)
	listener net.Listener // nil at the dialer
	readers  sync.WaitGroup

	mtx     sync.Mutex
	conns   map[byte]net.Conn
	closing bool
}

func openTCP(ctx context.Context, spec nodeSpec, on handler, lost func(error)) (endpoint, error) {
	n := &tcpNode{on: on, lost: lost, conns: make(map[byte]net.Conn)}
	at := spec.Dial
	if at == "" {
		at = spec.Listen
	}
	addr, err := p2ptypes.NewNetAddressFromString(at)
	if err != nil {
		return nil, err
	}
	if spec.Dial == "" {
		if n.listener, err = net.Listen("tcp", addr.DialString()); err != nil {
			return nil, err
		}
		n.readers.Go(n.accept)

		return n, nil
	}
	for _, c := range channels() {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.DialString())
		if err == nil {
			_, err = conn.Write([]byte{c.ID})
		}
		if err != nil {
			return nil, errors.Join(err, n.close())
		}
		n.add(c.ID, conn)
	}

	return n, nil
}

// accept accepts one connection for each channel.
func (n *tcpNode) accept() {
	for range channels() {
		conn, err := n.listener.Accept()
		if err != nil {
			return // closed
		}
		var ch [1]byte
		if _, err := io.ReadFull(conn, ch[:]); err != nil {
			_ = conn.Close() // nothing was sent
			n.fail(err)

			return
		}
		n.add(ch[0], conn)
	}
}

func (n *tcpNode) add(ch byte, conn net.Conn) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if n.closing {
		_ = conn.Close() // nobody uses it
		return
	}
	n.conns[ch] = conn
	n.readers.Go(func() { n.fail(n.read(ch, conn)) })
}

// fail reports the loss of the connection, unless it was closed here.
func (n *tcpNode) fail(err error) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if !n.closing {
		n.closing = true
		n.lost(fmt.Errorf("%w: %w", errLost, err))
	}
}

func (n *tcpNode) read(ch byte, conn net.Conn) error {
	r := bufio.NewReaderSize(conn, bulkSize)
	msg := make([]byte, maxMessage)
	for {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(length[:])
		if size > maxMessage {
			return fmt.Errorf("message of %d bytes", size)
		}
		if _, err := io.ReadFull(r, msg[:size]); err != nil {
			return err
		}
		n.on(ch, msg[:size], n.send)
	}
}

// send implements endpoint. Calls for the same channel must not overlap.
func (n *tcpNode) send(ch byte, msg []byte) bool {
	n.mtx.Lock()
	conn := n.conns[ch]
	n.mtx.Unlock()
	if conn == nil {
		return false
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...))

	return err == nil
}

func (n *tcpNode) close() error {
	n.mtx.Lock()
	n.closing = true
	var errs []error
	if n.listener != nil {
		errs = append(errs, n.listener.Close())
	}
	for _, c := range n.conns {
		errs = append(errs, c.Close())
	}
	n.mtx.Unlock()
	n.readers.Wait()

	return errors.Join(errs...)
}
