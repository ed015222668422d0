package cluster

import (
	"testing"
	"time"
)

// gaps measures how long members go without a new block.
type gaps struct {
	height  map[*Member]int64
	since   map[*Member]time.Time
	longest time.Duration
}

// update records the heights at a moment.
func (g *gaps) update(now time.Time, members []*Member) {
	for _, m := range members {
		g.longest = max(g.longest, now.Sub(g.since[m]))
		if h := m.Height(); h > g.height[m] {
			g.height[m], g.since[m] = h, now
		}
	}
}

// observe runs for duration and calls act at each interval, with the number of the call. It
// returns the longest time for which a member had no new block.
func (r *running) observe(t *testing.T, duration, every time.Duration, act func(i int)) time.Duration {
	t.Helper()
	begun := time.Now()
	g := gaps{height: make(map[*Member]int64), since: make(map[*Member]time.Time)}
	for _, m := range r.Members() {
		g.height[m], g.since[m] = m.Height(), begun
	}
	end := time.NewTimer(duration)
	defer end.Stop()
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for i := 0; ; {
		changed := r.change()
		g.update(time.Now(), r.Members())
		select {
		case <-changed:
		case <-ticks.C:
			act(i)
			i++
		case <-end.C:
			g.update(time.Now(), r.Members())

			return g.longest
		}
	}
}
