package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// pairTimeout bounds the search for a counterpart: the remote that waits
	// gives up after 3 s (docs/wire.md §3).
	pairTimeout = 2500 * time.Millisecond
	// patience is how long one target may take before another one is tried beside it. A
	// distant one needs seven round trips, so it may answer later.
	patience = time.Second
	// loserTimeout is how long a pair that has ended waits for the attempts at other
	// targets that lost: such a target would take the node's next connection for a second.
	loserTimeout = time.Second
	// duplicateRetry is the wait before a target is dialed again that still has the
	// node's former session.
	duplicateRetry = 50 * time.Millisecond
)

var (
	errNoCounterpart = errors.New("no counterpart could be reached")
	errNoTargets     = errors.New("no counterpart is known: [bridge].libp2p_peers has those of native nodes, [p2p].persistent_peers those of libp2p nodes")
	errDuplicateIP   = errors.New("the IP has a slot of each counterpart, [p2p].allow_duplicate_ip allows more")
	errNoFurther     = errors.New("each counterpart has a pair with the node, which has dialed another identity of the bridge")
	errNotNeeded     = errors.New("another counterpart was faster")
)

// search looks for the counterpart of a node.
type search struct {
	bridge  *Bridge
	node    dialer
	targets *targets
	try     func(context.Context, types.NetAddress) (compat.PeerConn, error)
	discard func(compat.PeerConn) // ends a connection that is not needed

	results        chan attempt
	tried, running []*target
	errs           []error
	left           chan struct{} // closed when the attempts have ended that find left behind
}

// attempt is the result of dialing one target.
type attempt struct {
	target *target
	took   time.Duration
	peer   compat.PeerConn
	err    error
}

// find tries the targets, best first, until one can be paired with the node or the
// context ends. The next one is tried when one has failed, or has not answered within
// patience; the first that answers is taken. The caller releases the target when the pair
// has ended.
func (s *search) find(ctx context.Context) (*target, compat.PeerConn, error) {
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	s.results = make(chan attempt)
	for s.next(trying) || len(s.running) > 0 {
		select {
		case a := <-s.results:
			s.ended(a)
			if a.err == nil {
				s.targets.reached(a.target)
				s.leave(ctx, a)

				return a.target, a.peer, nil
			}
			s.giveUp(a, judge(ctx, a.err, a.took))
			s.errs = append(s.errs, a.err)
		case <-time.After(patience):
		case <-ctx.Done():
			s.leave(ctx, attempt{})

			return nil, nil, s.failure(ctx)
		}
	}

	return nil, nil, s.failure(ctx)
}

// next begins to dial the next target, if there is one and the context has not ended.
func (s *search) next(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	t := s.targets.pick(s.node, s.tried, s.running...)
	if t == nil {
		return false
	}
	s.tried, s.running = append(s.tried, t), append(s.running, t)
	s.bridge.wg.Go(func() {
		a, begin := attempt{target: t}, time.Now()
		a.peer, a.err = s.try(ctx, t.addr)
		a.took = time.Since(begin)
		s.bridge.journal.attempt(s.side(), t.addr, s.node, a.err)
		s.results <- a
	})

	return true
}

func (s *search) ended(a attempt) {
	s.running = slices.DeleteFunc(s.running, func(t *target) bool { return t == a.target })
}

// leave waits, on a goroutine, for the running attempts, whose context ends. A target that
// did not answer within patience is at fault, unless the pair is no longer wanted, or it
// is a configured one that lost to one that is not.
func (s *search) leave(ctx context.Context, winner attempt) {
	s.left = make(chan struct{})
	lostToLearned := winner.target != nil && !winner.target.configured
	canceled := errors.Is(ctx.Err(), context.Canceled)
	s.bridge.wg.Go(func() {
		defer close(s.left)
		for len(s.running) > 0 {
			a, o := <-s.results, unknown
			s.ended(a)
			switch {
			case a.err == nil:
				s.targets.reached(a.target)
				s.discard(a.peer)
			case a.took >= patience && !canceled && !(a.target.configured && lostToLearned):
				o = judge(context.WithoutCancel(ctx), a.err, a.took)
			}
			s.giveUp(a, o)
		}
	})
}

// giveUp releases the target of an attempt that led to no pair. That it was not reached is
// told to the book and the DHT. Other outcomes may be due to the node, of which these know
// nothing.
func (s *search) giveUp(a attempt, o outcome) {
	missed := o == unreachable && s.targets == s.bridge.libp2pTargets
	if missed {
		s.bridge.book.MarkDialFailed(&a.target.addr, a.err)
	}
	s.targets.release(a.target, o)
	if missed {
		s.bridge.missed.Notify(events.DialFailedEvent{Address: a.target.addr, Reason: a.err})
	}
}

func (s *search) failure(ctx context.Context) error {
	switch {
	case len(s.tried) > 0 || ctx.Err() != nil:
	case s.targets.count(s.node, func(t *target) bool { return t.taken }) > 0:
		return errNoFurther
	case s.targets.count(s.node, func(t *target) bool { return t.doubled }) > 0:
		return errDuplicateIP
	case s.targets.count(s.node, func(t *target) bool { return t.spared }) > 0:
		return errSpared
	default:
		return errNoTargets
	}

	return newMissed(s.errs, ctx.Err())
}

// judge returns what an attempt that failed after some time shows about its target. One
// that took long has kept out others, whatever it answered. A failure shows nothing when
// the pair is no longer wanted, or when the target had no time to answer.
func judge(ctx context.Context, err error, took time.Duration) outcome {
	late, failure := took >= patience, compat.ClassifyDial(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled), !late && (ctx.Err() != nil || failure == compat.DialLocal):
		return unknown
	case !failure.Answered():
		return unreachable
	case late, failure == compat.DialBusy, failure == compat.DialClosing:
		return faulty // it would refuse any node
	default:
		return declined
	}
}
