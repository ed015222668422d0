package mconn

import (
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
)

// scheduler decides which channel sends the next packet. Only the writer calls its
// methods, except sentAt.
type scheduler struct {
	channels []*channel
	start    time.Time
	decays   atomic.Int64 // decay intervals since start that were applied
}

// next returns the channel with the smallest ratio of recentlySent to priority,
// among those for which pending is true, or nil when there is none. Of equal
// channels, the first registered wins.
func (s *scheduler) next(pending func(*channel) bool) *channel {
	var (
		best  *channel
		least float32
	)

	for _, ch := range s.channels {
		if !pending(ch) {
			continue
		}

		// The original divides in 32 bits, which makes some ratios equal.
		ratio := float32(ch.recentlySent.Load()) / float32(ch.desc.Priority)
		if best == nil || ratio < least {
			best, least = ch, ratio
		}
	}

	return best
}

// decay applies the decay intervals that have passed. It needs no timer, because
// the writer calls it before it compares channels.
func (s *scheduler) decay(now time.Time) {
	passed := int64(now.Sub(s.start) / flow.DecayInterval)

	times := passed - s.decays.Load()
	if times <= 0 {
		return
	}

	for _, ch := range s.channels {
		ch.recentlySent.Store(decayed(ch.recentlySent.Load(), times))
	}

	s.decays.Store(passed)
}

// sentAt returns the channel's recentlySent with all decay intervals until now
// applied. It may be called concurrently.
func (s *scheduler) sentAt(ch *channel, now time.Time) int64 {
	times := int64(now.Sub(s.start)/flow.DecayInterval) - s.decays.Load()

	return decayed(ch.recentlySent.Load(), times)
}

func decayed(sent, times int64) int64 {
	for ; times > 0 && sent > 0; times-- {
		sent = int64(float64(sent) * flow.DecayFactor)
	}

	return sent
}
