// Package flow counts bytes: the rate of one direction of a connection, and what a
// channel has sent recently. Both stacks report and schedule by it.
package flow

import (
	"math"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	sampleTime = 100 * time.Millisecond // shortest time over which a rate is measured
	memory     = time.Second            // time constant of the average over samples
)

// Meter counts one direction of a connection, and its recent rate as an average that
// forgets. All methods may be called concurrently, with the current time.
type Meter struct {
	mtx    sync.Mutex
	start  time.Time
	bytes  int64
	rate   float64 // bytes a second, recent
	since  time.Time
	sample int64 // bytes since then
}

// Begin starts the connection's time.
func (m *Meter) Begin(now time.Time) {
	m.mtx.Lock()
	defer m.mtx.Unlock()
	m.start, m.since = now, now
}

// Add counts n bytes.
func (m *Meter) Add(n int, now time.Time) {
	m.mtx.Lock()
	defer m.mtx.Unlock()
	m.roll(now)
	m.bytes += int64(n)
	m.sample += int64(n)
}

// roll ends the sample if it is long enough. The caller holds the lock.
func (m *Meter) roll(now time.Time) {
	elapsed := now.Sub(m.since)
	if elapsed < sampleTime {
		return
	}
	weight := 1 - math.Exp(-elapsed.Seconds()/memory.Seconds())
	m.rate += weight * (float64(m.sample)/elapsed.Seconds() - m.rate)
	m.since, m.sample = now, 0
}

// Status returns the counts. It is zero before Begin.
func (m *Meter) Status(now time.Time) compat.FlowStatus {
	m.mtx.Lock()
	defer m.mtx.Unlock()
	if m.start.IsZero() {
		return compat.FlowStatus{}
	}
	m.roll(now)
	s := compat.FlowStatus{Start: m.start, Bytes: m.bytes, CurRate: int64(math.Round(m.rate))}
	if elapsed := now.Sub(m.start).Seconds(); elapsed > 0 {
		s.AvgRate = int64(math.Round(float64(m.bytes) / elapsed))
	}

	return s
}
