package scale

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

// Bounds are what a broadcast costs at least: it is sealed once for each peer and written to
// its socket by one system call, and nothing else is done. They stand for a stack in a [Run].
const (
	// NativeBound seals a frame of the secret connection.
	NativeBound = "bound-native"
	// Libp2pBound seals a message with its length, a header of yamux and the length of Noise.
	Libp2pBound = "bound-libp2p"
)

// boundSizes are the bytes that are sealed for a broadcast, without the tag.
var boundSizes = map[string]int{NativeBound: 1028, Libp2pBound: 2 + 12 + 2 + process.BroadcastSize}

// boundNode is the hub of a bound if it has peers, else a leaf.
type boundNode struct {
	plain    []byte
	sealed   []byte
	aead     cipher.AEAD
	nonce    [chacha20poly1305.NonceSize]byte // always the same: nothing here is secret
	dial     string
	observer *process.Observer
	listen   net.Listener
	done     sync.WaitGroup

	mtx   sync.Mutex
	conns []net.Conn
}

// newBound returns a node of a bound. All nodes have one key: what is measured is its use.
func newBound(c process.Config, o *process.Observer) (*boundNode, error) {
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		return nil, err
	}
	n := &boundNode{aead: aead, observer: o, plain: make([]byte, boundSizes[c.Stack])}
	n.sealed = make([]byte, 0, len(n.plain)+aead.Overhead())
	if c.Dial != "" {
		_, n.dial, _ = strings.Cut(c.Dial, "@")

		return n, nil
	}
	_, at, _ := strings.Cut(c.Listen, "@")
	n.listen, err = net.Listen("tcp", at)

	return n, err
}

// Start begins to accept, or dials.
func (n *boundNode) Start() error {
	if n.listen != nil {
		n.done.Go(n.accept)

		return nil
	}
	conn, err := net.Dial("tcp", n.dial)
	if err != nil {
		return err
	}
	n.add(conn)
	n.done.Go(func() { n.receive(conn) })

	return nil
}

func (n *boundNode) add(conn net.Conn) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.conns = append(n.conns, conn)
	n.observer.Change(1)
}

// accept ends when the listener is closed.
func (n *boundNode) accept() {
	for {
		conn, err := n.listen.Accept()
		if err != nil {
			return
		}
		n.add(conn)
	}
}

// receive opens what arrives until the connection ends.
func (n *boundNode) receive(conn net.Conn) {
	buf := make([]byte, cap(n.sealed))
	for {
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
		plain, err := n.aead.Open(n.plain[:0], n.nonce[:], buf, nil)
		if err != nil {
			return // the hub and its leaves have the same key, so the broadcast is missed
		}
		n.observer.Received(plain[:process.BroadcastSize])
	}
}

// Broadcast seals and writes the message to each peer.
func (n *boundNode) Broadcast(_ byte, msg []byte) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	copy(n.plain, msg)
	for _, conn := range n.conns {
		if _, err := conn.Write(n.aead.Seal(n.sealed[:0], n.nonce[:], n.plain, nil)); err != nil {
			n.observer.Change(-1)
		}
	}
}

// Close ends all connections.
func (n *boundNode) Close() error {
	var errs []error
	if n.listen != nil {
		errs = append(errs, n.listen.Close())
	}
	n.mtx.Lock()
	for _, conn := range n.conns {
		errs = append(errs, conn.Close())
	}
	n.mtx.Unlock()
	n.done.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bound: %w", err)
	}

	return nil
}
