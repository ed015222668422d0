package main

import (
	"crypto/cipher"
	"encoding/binary"
	"net"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

const (
	sealedChunk = 1 << 10 // bytes in a frame
	sealedFrame = sealedChunk + chacha20poly1305.Overhead
	sealedBatch = 48 // frames in a Write and in a Read
)

// openSealed opens a TCP connection whose ends seal each KiB that they write, and open it where
// it is read, and do nothing else: no protocol, no checks, and no locks. It is the bound of a
// secret connection.
func openSealed(onB, onA harness.Handler) (*harness.Pipe, error) {
	a, b, err := harness.TCPPair()
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		return nil, err
	}
	seal := func(conn net.Conn) net.Conn {
		return &sealedConn{Conn: conn, aead: aead, out: make([]byte, 0, sealedBatch*sealedFrame), in: make([]byte, sealedBatch*sealedFrame)}
	}

	return harness.StreamPipe(seal(a), seal(b), onB, onA), nil
}

// sealedConn takes whole frames only: Write gets a multiple of sealedChunk, and Read a buffer
// for sealedBatch of them.
type sealedConn struct {
	net.Conn
	aead     cipher.AEAD
	sent     uint64
	received uint64
	out, in  []byte
	arrived  int // bytes in in
}

func nonceOf(frame uint64) (n [chacha20poly1305.NonceSize]byte) {
	binary.LittleEndian.PutUint64(n[4:], frame)

	return n
}

// Write implements net.Conn.
func (c *sealedConn) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		c.out = c.out[:0]
		for ; done < len(p) && len(c.out) < cap(c.out); done += sealedChunk {
			nonce := nonceOf(c.sent)
			c.out = c.aead.Seal(c.out, nonce[:], p[done:done+sealedChunk], nil)
			c.sent++
		}
		if _, err := c.Conn.Write(c.out); err != nil {
			return 0, err
		}
	}

	return len(p), nil
}

// Read implements net.Conn.
func (c *sealedConn) Read(p []byte) (int, error) {
	for c.arrived < sealedFrame {
		n, err := c.Conn.Read(c.in[c.arrived:])
		if err != nil {
			return 0, err
		}
		c.arrived += n
	}
	opened, frames := p[:0], 0
	for ; (frames+1)*sealedFrame <= c.arrived; frames++ {
		nonce := nonceOf(c.received)
		var err error
		if opened, err = c.aead.Open(opened, nonce[:], c.in[frames*sealedFrame:(frames+1)*sealedFrame], nil); err != nil {
			return 0, err
		}
		c.received++
	}
	c.arrived = copy(c.in, c.in[frames*sealedFrame:c.arrived])

	return len(opened), nil
}
