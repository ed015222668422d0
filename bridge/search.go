package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// pairTimeout bounds the search for a counterpart: the remote that waits
	// gives up after 3 s (docs/wire.md §3).
	pairTimeout = 2500 * time.Millisecond
	// patience is how long one target is waited for until another one is tried, too.
	// A distant one needs seven round trips, so it may answer later.
	patience = time.Second
)

var (
	errNoCounterpart = errors.New("no counterpart could be reached")
	errNoTargets     = errors.New("no counterpart is configured")
	errNotNeeded     = errors.New("another counterpart was faster")
)

// loserTimeout is how long a pair that has ended waits for attempts at other targets
// that were not needed.
const loserTimeout = time.Second

// made is a connection to a target.
type made struct {
	peer  compat.PeerConn
	close func() // releases what the connection has used, once it is removed
}

// search looks for the counterpart of a node.
type search struct {
	bridge  *Bridge
	node    types.ID
	targets *targets
	try     func(context.Context, types.NetAddress) (made, error)
	discard func(made) // ends a connection that is not needed

	results chan attempt // of those that run
	running []*target
	tried   []*target
	errs    []error
	left    chan struct{} // closed when those have ended that ran at the end of find
}

// attempt is what became of one target.
type attempt struct {
	target *target
	addr   types.NetAddress
	own    bool // it is a configured one
	took   time.Duration
	made   made
	err    error
}

// find tries the targets, best first, until one can be paired with the node or the
// context ends. The next one is tried when one has failed, and beside one that takes
// long; the first that answers is it. The caller releases the target when the pair
// has ended.
func (s *search) find(ctx context.Context) (*target, made, error) {
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	s.results = make(chan attempt)
	for s.next(trying) || len(s.running) > 0 {
		a, came := s.await(ctx)
		switch {
		case came && a.err == nil:
			s.leave(ctx, a)

			return a.target, a.made, nil
		case came:
			s.giveUp(a, judge(ctx, a.err, a.took))
			s.errs = append(s.errs, a.err)
		case ctx.Err() != nil:
			s.leave(ctx, attempt{})

			return nil, made{}, s.failure(ctx)
		}
	}

	return nil, made{}, s.failure(ctx)
}

// next begins with the next target, if there is one and time for it.
func (s *search) next(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	t := s.targets.pickBeside(s.node, s.tried, s.running)
	if t == nil {
		return false
	}
	s.tried = append(s.tried, t)
	s.running = append(s.running, t)
	s.bridge.wg.Go(func() {
		a := attempt{target: t}
		a.addr, a.own = s.targets.at(t)
		begun := time.Now()
		a.made, a.err = s.try(ctx, a.addr)
		a.took = time.Since(begun)
		s.results <- a
	})

	return true
}

// ended notes that an attempt does not run any more.
func (s *search) ended(a attempt) {
	s.running = slices.DeleteFunc(s.running, func(t *target) bool { return t == a.target })
}

// await returns the next result, or that none has come for as long as one waits.
func (s *search) await(ctx context.Context) (a attempt, came bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a = <-s.results:
		s.ended(a)

		return a, true
	case <-timer.C:
	case <-ctx.Done():
	}

	return a, false
}

// leave waits, on a goroutine, for the attempts that are not needed any more, whose
// context ends. Who had all his time comes after the others, unless the pair is not
// wanted any more, or a stranger was faster than a configured one.
func (s *search) leave(ctx context.Context, winner attempt) {
	s.left = make(chan struct{})
	lostToStranger := winner.target != nil && !winner.own
	canceled := errors.Is(ctx.Err(), context.Canceled)
	s.bridge.wg.Go(func() {
		defer close(s.left)
		for len(s.running) > 0 {
			a, v := <-s.results, neutral
			s.ended(a)
			switch {
			case a.err == nil:
				s.discard(a.made)
			case a.took >= patience && !canceled && !(a.own && lostToStranger):
				v = lateVerdict(a.err)
			}
			s.giveUp(a, v)
		}
	})
}

// giveUp gives back the target of an attempt that came to nothing.
func (s *search) giveUp(a attempt, v verdict) {
	s.targets.release(s.node, a.target, v)
	if v == failed {
		// Refusals would tell about the node that was to be paired, which discovery does
		// not know.
		s.bridge.missed.Notify(events.DialFailedEvent{Address: a.addr, Reason: a.err})
	}
}

func (s *search) failure(ctx context.Context) error {
	if len(s.tried) == 0 && ctx.Err() == nil {
		return errNoTargets
	}

	return fmt.Errorf("%w: %w", errNoCounterpart, errors.Join(append(s.errs, ctx.Err())...))
}

// judge tells what an attempt that failed after some time means for its target. A
// target that took long is at fault, whatever it answered in the end. A failure means
// nothing when the pair is no longer wanted, or when its time was over before the
// target had enough of it.
func judge(ctx context.Context, err error, took time.Duration) verdict {
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return neutral
	case took >= patience:
		return lateVerdict(err)
	case ctx.Err() != nil:
		return neutral
	}
	switch failure := compat.ClassifyDial(err); {
	case failure == compat.DialLocal:
		return neutral
	case !failure.Answered():
		return failed
	case failure == compat.DialBusy, failure == compat.DialClosing:
		return atFault // it would refuse any node
	default:
		return refused
	}
}

// lateVerdict is about a target that had all its time.
func lateVerdict(err error) verdict {
	if compat.ClassifyDial(err).Answered() {
		return atFault
	}

	return failed
}

// discard ends a connection of the side that is not used.
func (s *side) discard(m made) {
	s.drop(m.peer, errNotNeeded)
	m.close()
}

// dialLibp2p opens a session with one libp2p node. A node that still has the former
// session of the identity may hear of its end after it hears of the new one.
func dialLibp2p(
	ctx context.Context, side *lp2p.Transport, addr types.NetAddress, as lp2p.Identity, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	for {
		peer, err := side.DialAs(ctx, addr, as, behavior)
		if compat.ClassifyDial(err) != compat.DialDuplicate || !task.Sleep(ctx, duplicateRetry) {
			return peer, err
		}
	}
}
