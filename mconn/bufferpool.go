package mconn

import (
	"math/bits"
	"sync"
)

// Receive buffers are powers of two in size. All connections share them, so a
// connection holds memory for unfinished messages only.
const (
	minBufferBits = 12 // 4 KiB
	maxBufferBits = 30 // 1 GiB, the largest RecvMessageCapacity of a descriptor

	firstBuffer = 16 << 10 // most bytes reserved beyond the first packet of a message
)

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// buffer collects the payloads of one message.
type buffer struct {
	data  []byte
	class int
}

// newBuffer returns an empty buffer for at least size bytes.
func newBuffer(size int) *buffer {
	class := max(bits.Len(uint(max(size, 1)-1)), minBufferBits) - minBufferBits

	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}

	return &buffer{data: make([]byte, 0, 1<<(class+minBufferBits)), class: class}
}

// add appends p and returns the buffer to use from now on, which is a larger one
// when p does not fit. b must not be used afterwards.
func (b *buffer) add(p []byte) *buffer {
	if need := len(b.data) + len(p); need > cap(b.data) {
		larger := newBuffer(need)
		larger.data = append(larger.data, b.data...)
		b.release()
		b = larger
	}

	b.data = append(b.data, p...)

	return b
}

// release returns the buffer to its pool. Neither b nor its data may be used
// afterwards.
func (b *buffer) release() {
	b.data = b.data[:0]
	bufferPools[b.class].Put(b)
}
