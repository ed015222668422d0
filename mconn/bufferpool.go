package mconn

import (
	"math/bits"
	"sync"
)

// The size of a receive buffer is one of eight in each power of two, so that a buffer is
// at most an eighth larger than what it is for.
const (
	minBufferBits = 12 // 4 KiB
	maxPooledBits = 20 // 1 MiB
)

// bufferPools are shared by all connections. Only small buffers are kept: large ones are
// rare, and memory that waits for reuse counts in no budget.
var bufferPools [8*(maxPooledBits-minBufferBits) + 1]sync.Pool

// buffer holds payloads of one message.
type buffer struct {
	data []byte
	next *buffer    // continues the message
	pool *sync.Pool // nil: none
}

// newBuffer returns an empty buffer for at least size bytes.
func newBuffer(size int) *buffer {
	size = max(size, 1<<minBufferBits)
	shift := bits.Len(uint(size-1)) - 4
	units := (size-1)>>shift + 1 // 9 to 16
	size = units << shift
	if size > 1<<maxPooledBits {
		return &buffer{data: make([]byte, 0, size)}
	}

	pool := &bufferPools[8*(shift-minBufferBits+4)+units-16]
	if b, ok := pool.Get().(*buffer); ok {
		return b
	}

	return &buffer{data: make([]byte, 0, size), pool: pool}
}

// fill appends as much of p as fits and returns the rest.
func (b *buffer) fill(p []byte) (rest []byte) {
	n := min(len(p), cap(b.data)-len(b.data))
	b.data = append(b.data, p[:n]...)

	return p[n:]
}

// release returns the buffer to its pool, but not those that continue it. Neither b nor
// its data may be used afterwards.
func (b *buffer) release() {
	b.data, b.next = b.data[:0], nil
	if b.pool != nil {
		b.pool.Put(b)
	}
}
