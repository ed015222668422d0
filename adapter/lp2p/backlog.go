package lp2p

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

const (
	// maxBacklog is how many bytes may be in yamux's send queue before a channel has to
	// wait: nothing overtakes what is there. Yamux itself queues up to 64 frames, which
	// are 4 MiB. Two frames keep a fast connection busy. On a slower one the socket has
	// enough while the next channel gets its turn, so that a part of a frame suffices.
	maxBacklog = 2 * maxFrame
	// urgentSize is the largest write in bytes that need not wait. 64 such writes, which
	// fill yamux's queue, are no more than one frame.
	urgentSize = 1 << 10
)

// backlog counts the bytes in the send queue of one yamux connection, and lets the
// channels of its sessions write in the order of their shares. All methods may be called
// concurrently.
type backlog struct {
	// bytes counts data that is queued and not yet written. It is too small while a stream
	// has queued a part and waits for its window.
	bytes   atomic.Int64
	waiting atomic.Int32  // len(waiters), read without the lock
	drain   *socket.Drain // of the connection; immutable

	mtx     sync.Mutex
	waiters []*turn
}

// turn is a channel that waits. Its share decays meanwhile, so that it gets its turn
// however busy channels of higher priority are.
type turn struct {
	share share
	ready chan struct{} // closed when it may write
}

// share is what a channel has recently sent, divided by its priority. The channel with the
// smallest share writes next (docs/wire.md §5.3).
type share struct {
	recent   flow.Recent
	priority int
}

func (s share) at(now time.Time) float64 { return s.recent.At(now) / float64(s.priority) }

// limit is how many bytes may be queued when a channel writes.
func (b *backlog) limit() int64 {
	if b.drain.Full() {
		return maxBacklog
	}

	return int64(b.drain.Batch())
}

// frame is how many bytes a channel writes at a time. An urgent message waits for the frame
// before it. With a nil backlog it is what fits into one frame.
func (b *backlog) frame() int {
	if b == nil || b.drain.Full() {
		return batchSize
	}

	return min(b.drain.Batch(), batchSize)
}

// await waits until the channel may write size bytes. With a nil backlog that is at once.
func (b *backlog) await(ctx context.Context, c *channelOut, size int) error {
	if b == nil || size <= urgentSize || (b.bytes.Load() < b.limit() && b.waiting.Load() == 0) {
		return nil
	}

	t := &turn{share: c.share(), ready: make(chan struct{})}
	b.mtx.Lock()
	b.waiters = append(b.waiters, t)
	b.waiting.Add(1)
	b.dispatch() // the queue may have drained before this turn was in the list
	b.mtx.Unlock()

	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
		b.mtx.Lock()
		defer b.mtx.Unlock()
		b.remove(t)

		return errStopped
	}
}

// written notes that a frame has left the queue.
func (b *backlog) written(n int) {
	b.bytes.Add(int64(-n))
	if b.waiting.Load() == 0 {
		return
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.dispatch()
}

// dispatch lets the channel with the smallest share write if there is room: only one while
// data is queued, since what it writes fills the queue again. When the queue is empty it
// lets all of them write: the one may have to wait for its stream's window, and then no
// write would call dispatch for the others. The caller holds the lock.
func (b *backlog) dispatch() {
	for len(b.waiters) > 0 {
		queued := b.bytes.Load()
		if queued >= b.limit() {
			return
		}
		now := time.Now()
		next := slices.MinFunc(b.waiters, func(x, y *turn) int {
			return cmp.Compare(x.share.at(now), y.share.at(now))
		})
		b.remove(next)
		close(next.ready)
		if queued > 0 {
			return
		}
	}
}

// remove removes a turn that still waits. The caller holds the lock.
func (b *backlog) remove(t *turn) {
	if i := slices.Index(b.waiters, t); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		b.waiting.Add(-1)
	}
}
