package box

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Path is what happens to packets on the way from one place to another. The zero value
// delivers every packet at once.
type Path struct {
	// Delay is the time that every packet takes, one way.
	Delay time.Duration
	// Jitter is the most that a packet takes in addition, uniformly distributed. It does not
	// change the order of packets.
	Jitter time.Duration
	// Loss is the share of packets that are lost, from 0 to 1.
	Loss float64
	// Burst is the mean number of packets that are lost in a row (a Gilbert model with the
	// same Loss). Up to 1, every packet is lost or not independently of the others.
	Burst float64
	// Reorder is the share of packets that take ReorderBy longer, so that later ones overtake
	// them.
	Reorder   float64
	ReorderBy time.Duration
	// Down loses every packet.
	Down bool
}

// Validate returns an error that names the first wrong field.
func (p Path) Validate() error {
	switch {
	case p.Delay < 0 || p.Jitter < 0 || p.ReorderBy < 0:
		return fmt.Errorf("path: Delay %v, Jitter %v and ReorderBy %v must not be negative", p.Delay, p.Jitter, p.ReorderBy)
	case !(p.Loss >= 0 && p.Loss < 1):
		return fmt.Errorf("path: Loss must be at least 0 and less than 1, not %v", p.Loss)
	case !(p.Reorder >= 0 && p.Reorder <= 1):
		return fmt.Errorf("path: Reorder must be from 0 to 1, not %v", p.Reorder)
	case p.Burst < 0 || p.Burst > 1 && p.Loss > p.Burst/(p.Burst+1):
		return fmt.Errorf("path: Loss %v is not possible with bursts of %v packets", p.Loss, p.Burst)
	}

	return nil
}

// line is the state of a path. Times are counted from the start of the router.
type line struct {
	Path

	rng    *rand.Rand
	inLoss bool          // the Gilbert model is in its lossy state
	last   time.Duration // when the latest packet that keeps the order arrives
}

func newLine(p Path, seed, number uint64) line {
	return line{Path: p, rng: rand.New(rand.NewPCG(seed, number))}
}

// arrival returns when a packet that enters the path now arrives, and false if it is lost.
func (l *line) arrival(now time.Duration) (time.Duration, bool) {
	if l.lost() || l.Down {
		return 0, false
	}
	due := now + l.Delay
	if l.Jitter > 0 {
		due += time.Duration(l.rng.Int64N(int64(l.Jitter) + 1))
	}
	if l.Reorder > 0 && l.rng.Float64() < l.Reorder {
		return due + l.ReorderBy, true
	}
	l.last = max(l.last, due)

	return l.last, true
}

func (l *line) lost() bool {
	if l.Loss == 0 {
		return false
	}
	draw := l.rng.Float64()
	if l.Burst <= 1 {
		return draw < l.Loss
	}
	if l.inLoss {
		l.inLoss = draw >= 1/l.Burst
	} else {
		l.inLoss = draw < l.Loss/(1-l.Loss)/l.Burst
	}

	return l.inLoss
}

// Uplink is the bottleneck of a place: all packets that leave it pass one after the other.
type Uplink struct {
	// Rate is in bits per second, IP headers included. 0 is unlimited.
	Rate float64
	// Queue is the most bytes that wait for the uplink. Further packets are dropped. With 0 it
	// holds 100 ms of the rate, which is one bandwidth-delay product at that round trip.
	Queue int
}

// Mbit returns an uplink of so many Mbit/s with the default queue.
func Mbit(rate float64) Uplink { return Uplink{Rate: rate * 1e6} }

// Validate returns an error that names the first wrong field.
func (u Uplink) Validate() error {
	switch {
	case u.Rate < 0:
		return fmt.Errorf("uplink: Rate must not be negative, but is %v", u.Rate)
	case u.Queue < 0 || u.Queue > 0 && u.Queue < mtu:
		return fmt.Errorf("uplink: Queue must be 0 or hold a packet of %d bytes, not %d", mtu, u.Queue)
	}

	return nil
}

// defaultQueue is how long the default queue of an uplink takes to drain.
const defaultQueue = 100 * time.Millisecond

// exit is the state of an uplink.
type exit struct {
	Uplink

	free time.Duration // when the last accepted packet has left
}

func newExit(u Uplink) exit {
	if u.Queue == 0 {
		u.Queue = max(mtu, int(u.Rate/8*defaultQueue.Seconds()))
	}

	return exit{Uplink: u}
}

// departure returns when a packet that is sent now has left, and false if the queue is full.
func (e *exit) departure(now time.Duration, size int) (time.Duration, bool) {
	if e.Rate == 0 {
		return now, true
	}
	waiting := e.size(e.free - now)
	if waiting > 0 && waiting+float64(size) > float64(e.Queue) {
		return 0, false
	}
	e.free = max(e.free, now) + time.Duration(float64(size)*8/e.Rate*float64(time.Second))

	return e.free, true
}

// size returns how many bytes the uplink passes in a time.
func (e *exit) size(d time.Duration) float64 { return d.Seconds() * e.Rate / 8 }
