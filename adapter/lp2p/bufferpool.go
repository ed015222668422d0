package lp2p

import (
	"math/bits"
	"sync"
)

const (
	minBufferBits = 14 // 16 KiB
	maxBufferBits = 25 // 32 MiB
)

// bufferPool keeps buffers of 16 KiB, 32 KiB and so on up to 32 MiB for reuse. The garbage
// collector frees what is not used.
type bufferPool struct {
	classes [maxBufferBits - minBufferBits + 1]sync.Pool
}

func newBufferPool() *bufferPool {
	p := new(bufferPool)
	for i := range p.classes {
		p.classes[i].New = func() any {
			b := make([]byte, 1<<(minBufferBits+i))

			return &b
		}
	}

	return p
}

// get returns a buffer of at least size bytes, and at least 16 KiB. The size is at
// most 32 MiB.
func (p *bufferPool) get(size int) *[]byte { return p.classes[class(size)].Get().(*[]byte) }

// put takes back a buffer of get.
func (p *bufferPool) put(b *[]byte) { p.classes[class(len(*b))].Put(b) }

func class(size int) int { return max(0, bits.Len(uint(max(1, size)-1))-minBufferBits) }
