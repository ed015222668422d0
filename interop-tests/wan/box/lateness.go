package box

import (
	"slices"
	"time"
)

// stallShare is the part of the time, as its denominator, that a virtual machine may take from the
// router by stops: some hosts stop a guest for 10 ms every few seconds, whatever the priority of
// its threads. In 10 s these are 50 ms, which change one of 200 messages.
const stallShare = 200

// lateness is how late a router has been since a moment of its clock.
type lateness struct {
	since  time.Duration
	most   time.Duration   // apart from the stalls
	stalls []time.Duration // longer than LateLimit
}

func (l *lateness) add(late time.Duration) {
	if late > LateLimit {
		l.stalls = append(l.stalls, late)
	} else {
		l.most = max(l.most, late)
	}
}

// take returns the lateness without the longest stalls, as many as together took at most one
// part in stallShare of the time, and begins anew.
func (l *lateness) take(now time.Duration) time.Duration {
	late, spare := l.most, (now-l.since)/stallShare
	slices.Sort(l.stalls)
	for _, stall := range slices.Backward(l.stalls) {
		if spare -= stall; spare < 0 {
			late = stall

			break
		}
	}
	*l = lateness{since: now, stalls: l.stalls[:0]}

	return late
}
