package lp2p

import (
	"cmp"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
)

const (
	// maxBacklog is how many bytes may lie in yamux's send queue before a channel
	// has to wait for its turn. What lies there cannot be overtaken; by itself the
	// queue holds 64 frames, which is 4 MiB. Two frames keep the connection busy.
	maxBacklog = 2 * maxFrame
	// urgentSize is what is written without waiting, in bytes. Of so little the
	// whole queue holds no more than one frame.
	urgentSize = 1 << 10
)

// backlog knows how much lies in the send queue of one yamux connection, and lets
// the channels of its sessions write in the order of their shares. All methods may
// be called concurrently.
type backlog struct {
	// bytes is of data frames: queued, and not yet written. A stream that has
	// written a part and waits for its window counts too little for a moment.
	bytes   atomic.Int64
	waiting atomic.Int32 // len(waiters), to be read without the lock

	mtx     sync.Mutex
	waiters []*turn
}

// turn is a channel that waits. What it has sent meanwhile counts less and less, so
// that it gets its turn however busy those of higher priority are.
type turn struct {
	share share
	ready chan struct{} // closed when it may write
}

// share is what a channel has recently sent for each unit of its priority: the one
// with the smallest writes next (docs/wire.md §5.3).
type share struct {
	recent   flow.Recent
	priority int
}

func (s share) at(now time.Time) float64 { return s.recent.At(now) / float64(s.priority) }

// await waits until the channel may write size bytes. A nil backlog lets everything
// pass.
func (b *backlog) await(ctx context.Context, c *channelOut, size int) error {
	if b == nil || size <= urgentSize || (b.bytes.Load() < maxBacklog && b.waiting.Load() == 0) {
		return nil
	}

	t := &turn{share: c.share(), ready: make(chan struct{})}
	b.mtx.Lock()
	b.waiters = append(b.waiters, t)
	b.waiting.Add(1)
	b.dispatch() // the queue may have drained before anybody saw us wait
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

// dispatch lets the channel with the smallest share write if there is room. Only
// one, since what it writes fills the queue again; all of them if the queue is
// empty, since a channel may wait for its window and nothing else would come here.
// The caller holds the lock.
func (b *backlog) dispatch() {
	for len(b.waiters) > 0 {
		queued := b.bytes.Load()
		if queued >= maxBacklog {
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

// remove takes a turn out if it still waits. The caller holds the lock.
func (b *backlog) remove(t *turn) {
	if i := slices.Index(b.waiters, t); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		b.waiting.Add(-1)
	}
}

// NewConn implements network.Multiplexer.
func (m meteredMuxer) NewConn(nc net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	b := new(backlog)
	c, err := m.Multiplexer.NewConn(&meteredConn{Conn: nc, backlog: b}, isServer, scope)
	if err != nil {
		return nil, err
	}

	return &meteredMux{MuxedConn: c, backlog: b}, nil
}

// Write implements net.Conn.
func (c *meteredConn) Write(frame []byte) (int, error) {
	n, err := c.Conn.Write(frame)
	if len(frame) >= yamuxHeader && frame[yamuxTypeAt] == yamuxData {
		c.backlog.written(int(binary.BigEndian.Uint32(frame[yamuxLengthAt:])))
	}

	return n, err
}

// As implements network.MuxedConn.
func (m *meteredMux) As(target any) bool {
	if b, ok := target.(**backlog); ok {
		*b = m.backlog

		return true
	}

	return m.MuxedConn.As(target)
}

// OpenStream implements network.MuxedConn.
func (m *meteredMux) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	s, err := m.MuxedConn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}

	return &meteredStream{MuxedStream: s, backlog: m.backlog}, nil
}

// AcceptStream implements network.MuxedConn.
func (m *meteredMux) AcceptStream() (network.MuxedStream, error) {
	s, err := m.MuxedConn.AcceptStream()
	if err != nil {
		return nil, err
	}

	return &meteredStream{MuxedStream: s, backlog: m.backlog}, nil
}

// Write implements network.MuxedStream. It passes on at most a frame at a time, so
// that what is queued is counted before more follows.
func (s *meteredStream) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := s.MuxedStream.Write(p[written:min(len(p), written+maxFrame-yamuxHeader)])
		s.backlog.bytes.Add(int64(n))
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}
