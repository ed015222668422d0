package pair

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// plan is what the dialer sends. Each part ends when everything has arrived.
type plan struct {
	// Warmup is how long bulk messages are sent before the measured part.
	Warmup time.Duration
	// Ramp is how long the measured part is under way before its window begins, and During the
	// window, in which bulk and urgent messages count.
	Ramp, During time.Duration
	// Votes and Parts are how many urgent messages, one each urgentInterval, and then bulk
	// messages are sent alone.
	Votes, Parts int
	// Patience is how long the answer to a mark may take.
	Patience time.Duration
}

// The marks, in their order. They are also the moments that the dialer tells to its parent.
const (
	markJoined int64 = iota
	markWarm
	markWindow // the window begins
	markSent   // the window has ended
	markDrained
	markVotes
	markParts
	markEnd
)

// mark is a moment of the dialer.
type mark struct {
	Number int64
	At     time.Duration // clock.Now
}

// sent is what the dialer did.
type sent struct {
	Connect time.Duration // from the start of its node to the peer
	Urgent  int           // messages in the window
	Failed  int64         // sends that were not taken
}

// sender runs a plan.
type sender struct {
	plan   plan
	tell   func(event)
	marked chan int64
	goOn   chan os.Signal // the parent has taken a mark

	endpoint
	failed atomic.Int64
}

// run opens the node and runs the plan. It returns the node, if that was opened, also with an
// error.
func (s *sender) run(ctx context.Context, spec nodeSpec, lost func(error)) (endpoint, error) {
	begun := time.Now()
	on := func(_ byte, msg []byte, _ func(byte, []byte) bool) {
		if k, a, _ := parse(msg); k == kindMarked {
			s.marked <- a // of size 1: there is one mark at a time
		}
	}
	e, err := open(ctx, spec, on, lost)
	if err != nil {
		return nil, err
	}
	s.endpoint = e
	result := sent{Connect: time.Since(begun)}
	if err := s.pause(ctx, markJoined); err != nil {
		return e, err
	}
	for _, part := range []func(context.Context) error{
		s.warmUp, func(ctx context.Context) (err error) { result.Urgent, err = s.measure(ctx); return err },
		s.votes, s.parts, func(ctx context.Context) error { return s.drain(ctx, markEnd) },
	} {
		if err := part(ctx); err != nil {
			return e, err
		}
	}
	result.Failed = s.failed.Load()
	s.tell(event{Sent: &result})

	return e, nil
}

func (s *sender) mark(number int64) { s.tell(event{Mark: &mark{Number: number, At: clock.Now()}}) }

// drain waits until the other side has everything.
func (s *sender) drain(ctx context.Context, number int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.plan.Patience)
	defer cancel()
	for _, c := range channels() {
		for !s.send(c.ID, message(kindMark, number, 0, 0)) {
			if ctx.Err() != nil {
				return fmt.Errorf("mark %d was not taken: %w", number, context.Cause(ctx))
			}
		}
	}
	select {
	case <-s.marked:
		return s.pause(ctx, number)
	case <-ctx.Done():
		return fmt.Errorf("what was sent before mark %d has not arrived: %w", number, context.Cause(ctx))
	}
}

// pause tells a mark and waits until the parent has taken it, so that what is sent afterwards
// does not count as what was sent before.
func (s *sender) pause(ctx context.Context, number int64) error {
	s.mark(number)
	select {
	case <-s.goOn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *sender) warmUp(ctx context.Context) error {
	s.flood(ctx, clock.Now()+s.plan.Warmup, 0, 0)

	return s.drain(ctx, markWarm)
}

// measure sends bulk messages without pause, and urgent ones in the window. It returns the
// number of the latter.
func (s *sender) measure(ctx context.Context) (urgent int, err error) {
	if s.plan.During == 0 {
		return 0, nil
	}
	from := clock.Now() + s.plan.Ramp
	to := from + s.plan.During
	var flood sync.WaitGroup
	flood.Go(func() { s.flood(ctx, to, from, to) })
	clock.SleepUntil(from)
	s.mark(markWindow)
	urgent = s.urgents(ctx, from, to)
	flood.Wait()
	s.mark(markSent)

	return urgent, s.drain(ctx, markDrained)
}

// flood sends bulk messages until a time.
func (s *sender) flood(ctx context.Context, until, from, to time.Duration) {
	for ctx.Err() == nil && clock.Now() < until {
		s.count(s.send(chBulk, message(kindBulk, int64(from), int64(to), bulkSize)))
	}
}

// urgents sends an urgent message each interval. Its latency counts from when it was due, not
// from when a send that blocked let it go.
func (s *sender) urgents(ctx context.Context, from, to time.Duration) (count int) {
	for due := from; ctx.Err() == nil && due < to; due += urgentInterval {
		clock.SleepUntil(due)
		if s.count(s.send(chUrgent, message(kindUrgent, int64(due), 1, urgentSize))) {
			count++
		}
	}

	return count
}

func (s *sender) count(taken bool) bool {
	if !taken {
		s.failed.Add(1)
	}

	return taken
}

func (s *sender) votes(ctx context.Context) error {
	for range s.plan.Votes {
		s.count(s.send(chUrgent, message(kindUrgent, 0, 0, voteSize)))
		clock.SleepUntil(clock.Now() + urgentInterval)
	}

	return s.drain(ctx, markVotes)
}

func (s *sender) parts(ctx context.Context) error {
	for range s.plan.Parts {
		if !s.count(s.send(chBulk, message(kindBulk, 0, 0, bulkSize))) {
			return errors.New("a part was not taken")
		}
	}

	return s.drain(ctx, markParts)
}
