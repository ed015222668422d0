package mconn

import (
	"math"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	flowSample = 100 * time.Millisecond // shortest sample of a rate
	flowMemory = time.Second            // time constant of the average over samples
)

// flow counts one direction of a connection.
type flow struct {
	mu     sync.Mutex
	start  time.Time
	bytes  int64
	rate   float64 // bytes a second, recent
	since  time.Time
	sample int64 // bytes since then, not yet part of rate, not yet part of rate
}

func (f *flow) begin(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.start, f.since = now, now
}

func (f *flow) add(n int, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.roll(now)
	f.bytes += int64(n)
	f.sample += int64(n)
}

func (f *flow) roll(now time.Time) {
	elapsed := now.Sub(f.since)
	if elapsed < flowSample {
		return
	}

	weight := 1 - math.Exp(-elapsed.Seconds()/flowMemory.Seconds())
	f.rate += weight * (float64(f.sample)/elapsed.Seconds() - f.rate)
	f.since, f.sample = now, 0
}

func (f *flow) status(now time.Time) compat.FlowStatus {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.start.IsZero() {
		return compat.FlowStatus{}
	}

	f.roll(now)

	s := compat.FlowStatus{Start: f.start, Bytes: f.bytes, CurRate: int64(math.Round(f.rate))}
	if elapsed := now.Sub(f.start).Seconds(); elapsed > 0 {
		s.AvgRate = int64(math.Round(float64(f.bytes) / elapsed))
	}

	return s
}
