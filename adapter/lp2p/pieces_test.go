package lp2p

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Whatever arrives of a message, the buffers take at most a quarter more, or 16 KiB; and the
// message is what has arrived.
func TestPiecesHoldLittleMore(t *testing.T) {
	for _, size := range []int{1, minBuffer, minBuffer + 1, 1<<20 + 1, 5 << 20, maxPartialBytes} {
		pool := newBufferPool()
		p := pieces{pool: pool}
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		for rest := sent; len(rest) > 0; {
			n := copy(p.space(size), rest[:min(len(rest), 1000)])
			p.filled(n)
			rest = rest[n:]
			held := 0
			for _, b := range p.all {
				held += len(b)
			}
			require.LessOrEqual(t, held, max(minBuffer, p.got*5/4, p.got+minBuffer), "after %d of %d bytes", p.got, size)
		}
		require.Equal(t, sent, p.join())
		require.LessOrEqual(t, len(p.all[0]), max(minBuffer, size*5/4))
		require.Len(t, p.all, 1)
		p.release()
		require.LessOrEqual(t, pool.idle, maxIdle)
		require.Equal(t, pieces{pool: pool, all: p.all}, p, "ready for the next message")
	}
}

func TestBufferPool(t *testing.T) {
	p := newBufferPool()
	b := p.get(minBuffer + 1)
	require.Len(t, b, minBuffer*5/4)
	p.put(b)
	require.Same(t, &b[0], &p.get(minBuffer * 5 / 4)[0], "it is used again")
	p.put(make([]byte, maxIdle))
	require.Equal(t, maxIdle, p.idle)
	p.put(b)
	require.Equal(t, len(b), p.idle, "the others are left to the garbage collector")
	p.put(make([]byte, maxIdle+1))
	require.Equal(t, len(b), p.idle)
}

// heap returns the bytes in use after a collection. Two are needed to empty a sync.Pool.
func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)

	return int(stats.HeapAlloc)
}

// Unfinished messages take no more memory than a quarter more than what was sent of them.
func TestUnfinishedMessagesAreHeldOnce(t *testing.T) {
	n := newNode(t, nil)
	for i, d := range n.descs {
		n.descs[i] = &compat.ChannelDescriptor{ID: d.ID, Priority: 1, RecvMessageCapacity: maxPartialBytes}
	}
	r := newRaw(t)
	c, _, epoch, p := r.session(n)
	// A little more than a power of two, where doubled buffers are emptiest.
	const part = 4<<20 + 32<<10
	half := make([]byte, part)
	before := heap()
	for _, d := range n.descs {
		s := r.data(c, epoch, d.ID, protowire.AppendVarint(nil, 2*part)...)
		_, err := s.Write(half)
		require.NoError(t, err)
	}
	sent := len(n.descs) * part
	require.Eventually(t, func() bool {
		p.s.assembly.mtx.Lock()
		defer p.s.assembly.mtx.Unlock()

		return p.s.assembly.used == sent
	}, patience, time.Millisecond)

	require.LessOrEqual(t, heap()-before, sent*5/4+1<<20, "%d bytes were sent", sent)
	runtime.KeepAlive(half)
}
