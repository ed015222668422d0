package secretconn

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes of the protocol, in bytes (docs/wire.md §3.3).
const (
	chunkLenSize    = 4
	maxChunkSize    = 1024
	openedFrameSize = chunkLenSize + maxChunkSize
	sealedFrameSize = openedFrameSize + chacha20poly1305.Overhead
)

// direction holds the cipher of one direction and the nonce of its next frame.
type direction struct {
	aead  cipher.AEAD
	nonce nonce
}

func newDirection(key *[keySize]byte) (direction, error) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return direction{}, fmt.Errorf("set up cipher: %w", err)
	}

	return direction{aead: aead}, nil
}

// seal writes the sealed frame of chunk, 1 to 1024 bytes, into frame, which has the
// size of a sealed frame. It zeroes the padding: connections share buffers, and data
// for one peer must not leak to another.
func (d *direction) seal(frame, chunk []byte) error {
	if d.nonce.exhausted() {
		return ErrNonceExhausted
	}

	opened := frame[:openedFrameSize]
	binary.LittleEndian.PutUint32(opened, uint32(len(chunk)))
	clear(opened[chunkLenSize+copy(opened[chunkLenSize:], chunk):])
	d.aead.Seal(opened[:0], d.nonce[:], opened, nil)

	return d.nonce.increment()
}

// open opens a sealed frame in place and returns its chunk, which aliases frame. It
// ignores the padding, in which original nodes leave old data.
func (d *direction) open(frame []byte) ([]byte, error) {
	if d.nonce.exhausted() {
		return nil, ErrNonceExhausted
	}

	opened, err := d.aead.Open(frame[:0], d.nonce[:], frame, nil)
	if err != nil {
		return nil, ErrFrameTag
	}

	size := binary.LittleEndian.Uint32(opened)
	if size > maxChunkSize {
		return nil, ErrFrameLength
	}

	if size == 0 {
		return nil, ErrFrameEmpty
	}

	return opened[chunkLenSize : chunkLenSize+size], d.nonce.increment()
}
