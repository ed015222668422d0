package secretconn

import (
	"encoding/binary"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// nonceCounterAt is where the counter of a nonce starts.
const nonceCounterAt = 4

// nonce is four zero bytes and the little-endian counter of frames of one
// direction (docs/wire.md §3.3). The zero value is the nonce of frame 0.
type nonce [chacha20poly1305.NonceSize]byte

func (n *nonce) counter() uint64 {
	return binary.LittleEndian.Uint64(n[nonceCounterAt:])
}

func (n *nonce) setCounter(c uint64) {
	binary.LittleEndian.PutUint64(n[nonceCounterAt:], c)
}

// exhausted reports whether the counter is at its end. That last nonce is never
// used, so increment cannot fail after a frame.
func (n *nonce) exhausted() bool {
	return n.counter() == math.MaxUint64
}

// increment moves to the next frame, or returns ErrNonceExhausted and changes
// nothing.
func (n *nonce) increment() error {
	if n.exhausted() {
		return ErrNonceExhausted
	}

	n.setCounter(n.counter() + 1)

	return nil
}
