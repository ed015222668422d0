package lp2p

import (
	"math/bits"
	"sync"
)

const (
	minBuffer = 16 << 10 // bytes
	// maxIdle bounds the bytes of buffers that wait for reuse.
	maxIdle = 8 << 20
)

// bufferPool keeps buffers for reuse. A buffer is at most a quarter larger than asked for,
// and at least 16 KiB. All methods may be called concurrently.
type bufferPool struct {
	mtx  sync.Mutex
	idle int              // bytes of the buffers in free
	free map[int][][]byte // by size
}

func newBufferPool() *bufferPool { return &bufferPool{free: make(map[int][][]byte)} }

// get returns a buffer of at least size bytes.
func (p *bufferPool) get(size int) []byte {
	size = rounded(size)
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if same := p.free[size]; len(same) > 0 {
		last := len(same) - 1
		b := same[last]
		same[last] = nil
		p.free[size] = same[:last]
		p.idle -= size

		return b
	}

	return make([]byte, size)
}

// put takes back a buffer of get. When too much is idle it drops all, so that sizes that
// are not used any more take no room from others.
func (p *bufferPool) put(b []byte) {
	if len(b) > maxIdle {
		return
	}
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.idle+len(b) > maxIdle {
		clear(p.free)
		p.idle = 0
	}
	p.idle += len(b)
	p.free[len(b)] = append(p.free[len(b)], b)
}

// rounded returns the size of the buffer for size bytes: a power of two and up to three
// quarters of it.
func rounded(size int) int {
	if size <= minBuffer {
		return minBuffer
	}
	quarter := 1 << (bits.Len(uint(size-1)) - 3)

	return (size + quarter - 1) / quarter * quarter
}
