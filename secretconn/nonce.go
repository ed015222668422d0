package secretconn

import (
	"encoding/binary"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// nonceCounterAt is the offset of the counter in a nonce, in bytes.
const nonceCounterAt = 4

// nonce consists of four zero bytes and the little-endian frame counter of one
// direction (docs/wire.md §3.3). The zero value is the nonce of frame 0.
type nonce [chacha20poly1305.NonceSize]byte

func (n *nonce) counter() uint64 {
	return binary.LittleEndian.Uint64(n[nonceCounterAt:])
}

func (n *nonce) setCounter(c uint64) {
	binary.LittleEndian.PutUint64(n[nonceCounterAt:], c)
}

// exhausted reports whether the counter has its largest value. That nonce is never
// used, so increment cannot fail after a frame.
func (n *nonce) exhausted() bool {
	return n.counter() == math.MaxUint64
}

// increment moves to the nonce of the next frame. If there is none, it returns
// ErrNonceExhausted.
func (n *nonce) increment() error {
	if n.exhausted() {
		return ErrNonceExhausted
	}

	n.setCounter(n.counter() + 1)

	return nil
}
