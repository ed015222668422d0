package lp2p

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A channel that has sent much gets its turn when that is long ago, although a channel of
// high priority keeps the connection busy.
func TestBacklogForgetsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 10 << 20 // bytes a second
		frame := time.Second * maxFrame / rate
		b := new(backlog)
		b.bytes.Add(maxBacklog)
		var wg sync.WaitGroup
		var granted atomic.Bool
		wg.Go(func() {
			// The first begins with a second at full speed behind it.
			granted.Store(b.await(t.Context(), contender(1, rate), maxFrame) == nil)
		})
		synctest.Wait()

		high, begun := contender(100, 0), time.Now()
		for !granted.Load() {
			wg.Go(func() {
				if b.await(t.Context(), high, maxFrame) != nil {
					return
				}
				high.o.mtx.Lock()
				high.recent.Add(time.Now(), maxFrame)
				high.o.mtx.Unlock()
				b.bytes.Add(maxFrame)
			})
			synctest.Wait()
			<-time.After(frame)
			b.written(maxFrame)
			synctest.Wait()
			if time.Since(begun) > time.Minute {
				break
			}
		}
		took := time.Since(begun)
		b.written(int(b.bytes.Load())) // lets all in
		wg.Wait()
		require.Less(t, took, time.Minute, "the channel got no turn")
	})
}
