package lp2p

import (
	"math"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	flowWindow    = time.Second
	decayInterval = 2 * time.Second // docs/wire.md §5.3
	decayFactor   = 0.8
)

// flow counts one direction of a session.
type flow struct {
	mtx    sync.Mutex
	start  time.Time
	bytes  int64
	window int64     // bytes since opened
	opened time.Time // begin of the window
	rate   int64     // of the last full window, bytes a second
}

func (f *flow) begin() {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	f.start = time.Now()
	f.opened = f.start
}

func (f *flow) add(n int) {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	f.roll(time.Now())
	f.bytes += int64(n)
	f.window += int64(n)
}

func (f *flow) roll(now time.Time) {
	if d := now.Sub(f.opened); d >= flowWindow {
		f.rate = perSecond(f.window, d)
		f.window, f.opened = 0, now
	}
}

func (f *flow) status() compat.FlowStatus {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	now := time.Now()
	f.roll(now)

	return compat.FlowStatus{
		Start: f.start, Bytes: f.bytes, CurRate: f.rate, AvgRate: perSecond(f.bytes, now.Sub(f.start)),
	}
}

func perSecond(n int64, d time.Duration) int64 {
	if d <= 0 {
		return 0
	}

	return int64(float64(n) / d.Seconds())
}

// decaying is a count of bytes that loses a fifth every two seconds.
type decaying struct {
	value   float64
	updated time.Time
}

func (d *decaying) add(now time.Time, n int) {
	d.value = d.at(now) + float64(n)
	d.updated = now
}

func (d *decaying) at(now time.Time) float64 {
	if d.value == 0 {
		return 0
	}

	return d.value * math.Pow(decayFactor, now.Sub(d.updated).Seconds()/decayInterval.Seconds())
}
