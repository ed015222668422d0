package lp2p

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// contender is a channel that has sent the given bytes.
func contender(priority, sent int) *channelOut {
	c := &channelOut{o: new(outbox), desc: compat.ChannelDescriptor{Priority: priority}}
	c.recent.Add(time.Now(), sent)

	return c
}

// contend lets the channels wait in this order and returns the list of those that
// got their turn.
func contend(t *testing.T, b *backlog, wg *sync.WaitGroup, channels ...*channelOut) func() []int {
	var mtx sync.Mutex
	var turns []int
	for i, c := range channels {
		wg.Go(func() {
			if b.await(t.Context(), c, maxFrame) == nil {
				mtx.Lock()
				defer mtx.Unlock()
				turns = append(turns, i)
			}
		})
		synctest.Wait()
	}

	return func() []int {
		synctest.Wait()
		mtx.Lock()
		defer mtx.Unlock()

		return turns
	}
}

func TestBacklogServesTheSmallestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		b := new(backlog)
		b.bytes.Add(maxBacklog)
		turns := contend(t, b, &wg,
			contender(1, 1<<20), contender(10, 1<<20), contender(1, 0), contender(5, 10<<20))
		require.Empty(t, turns())

		for _, want := range [][]int{{2}, {2, 1}, {2, 1, 0}, {2, 1, 0, 3}} {
			b.written(maxFrame)
			require.Equal(t, want, turns(), "one turn for each frame")
			b.bytes.Add(maxFrame) // what the turn was used for
		}
		wg.Wait()
		require.Zero(t, b.waiting.Load())
	})
}

// A channel that has its turn may have to wait for its stream's window. When the queue is
// empty, no written frame would then wake the others.
func TestBacklogLetsAllInWhenEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		b := new(backlog)
		b.bytes.Add(maxBacklog)
		turns := contend(t, b, &wg, contender(1, 0), contender(1, 0), contender(1, 0))
		b.written(maxBacklog)
		require.Len(t, turns(), 3)
		wg.Wait()
	})
}

func TestBacklogPassesWithoutWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var none *backlog
	require.NoError(t, none.await(ctx, contender(1, 0), maxFrame), "a connection without a queue")
	b := new(backlog)
	require.NoError(t, b.await(ctx, contender(1, 0), maxFrame), "there is room")
	b.bytes.Add(maxBacklog)
	require.NoError(t, b.await(ctx, contender(1, 0), urgentSize), "little")
	require.ErrorIs(t, b.await(ctx, contender(1, 0), urgentSize+1), errStopped)
	require.Zero(t, b.waiting.Load(), "who gives up waits no longer")
}

// recorderConn fails after some writes.
type recorderConn struct {
	net.Conn
	writes, failAt int
}

var errWrite = errors.New("write")

func (c *recorderConn) Write(p []byte) (int, error) {
	if c.writes++; c.writes == c.failAt {
		return 0, errWrite
	}

	return len(p), nil
}

func TestMeteredConnCountsDataFrames(t *testing.T) {
	frame := func(kind byte, length uint32) []byte {
		f := make([]byte, yamuxHeader)
		f[yamuxTypeAt] = kind
		binary.BigEndian.PutUint32(f[yamuxLengthAt:], length)

		return f
	}
	c := &meteredConn{Conn: &recorderConn{failAt: 4}, backlog: new(backlog), windows: newWindows()}
	c.backlog.bytes.Store(1000)
	for _, f := range [][]byte{frame(yamuxData, 300), frame(1, 4096), []byte("short")} {
		n, err := c.Write(f)
		require.NoError(t, err)
		require.Len(t, f, n)
	}
	require.EqualValues(t, 700, c.backlog.bytes.Load())

	_, err := c.Write(frame(yamuxData, 700))
	require.ErrorIs(t, err, errWrite)
	require.Zero(t, c.backlog.bytes.Load(), "nobody waits for a connection that has failed")
}

// The count over a real connection returns to zero: what was queued was written.
func TestBacklogOfAConnectionDrains(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	pa, _ := connect(t, a, b)
	below := pa.s.out.below
	require.NotNil(t, below)
	for range 50 {
		require.True(t, pa.Send(chA, make([]byte, 300<<10)))
		require.True(t, pa.Send(chB, make([]byte, 100)))
	}
	b.reactor.await(t, 100)
	pa.FlushStop()
	require.LessOrEqual(t, below.bytes.Load(), int64(maxFrame))
	require.Zero(t, below.waiting.Load())
}
