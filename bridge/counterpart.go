package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
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
	try     func(context.Context, *target) (made, error)
	discard func(made) // ends a connection that is not needed

	results chan attempt // of those that run
	running int
	tried   []*target
	errs    []error
}

// attempt is what became of one target.
type attempt struct {
	target *target
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
	for s.next(trying) || s.running > 0 {
		a, came := s.await(ctx)
		switch {
		case came && a.err == nil:
			s.leave(ctx)

			return a.target, a.made, nil
		case came:
			s.giveUp(a, judge(ctx, a.err, a.took))
			s.errs = append(s.errs, a.err)
		case ctx.Err() != nil:
			s.leave(ctx)

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
	t := s.targets.pick(s.node, s.tried)
	if t == nil {
		return false
	}
	s.tried = append(s.tried, t)
	s.running++
	s.bridge.wg.Go(func() {
		begun := time.Now()
		m, err := s.try(ctx, t)
		s.results <- attempt{target: t, took: time.Since(begun), made: m, err: err}
	})

	return true
}

// await returns the next result, or that none has come for as long as one waits.
func (s *search) await(ctx context.Context) (a attempt, came bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a = <-s.results:
		s.running--

		return a, true
	case <-timer.C:
	case <-ctx.Done():
	}

	return a, false
}

// leave waits, on a goroutine, for the attempts that are not needed any more, whose
// context ends. Who had all his time comes after the others, unless the pair is not
// wanted any more.
func (s *search) leave(ctx context.Context) {
	blame := !errors.Is(ctx.Err(), context.Canceled)
	s.bridge.wg.Go(func() {
		for ; s.running > 0; s.running-- {
			a, v := <-s.results, neutral
			switch {
			case a.err == nil:
				s.discard(a.made)
			case a.took >= patience && blame:
				v = failed
			}
			s.giveUp(a, v)
		}
	})
}

// giveUp gives back the target of an attempt that came to nothing.
func (s *search) giveUp(a attempt, v verdict) {
	s.targets.release(s.node, a.target, v)
	if v == failed {
		s.bridge.miss(*a.target.addr, a.err)
	}
}

func (s *search) failure(ctx context.Context) error {
	if len(s.tried) == 0 && ctx.Err() == nil {
		return errNoTargets
	}

	return fmt.Errorf("%w: %w", errNoCounterpart, errors.Join(append(s.errs, ctx.Err())...))
}

// judge tells what an attempt that failed after some time means for its target. Who
// takes long is at fault, whatever it says in the end. Who was asked last may have had
// no time to answer, and nobody is to blame if the pair is not wanted any more.
func judge(ctx context.Context, err error, took time.Duration) verdict {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return neutral
	}
	switch {
	case took >= patience:
		return failed
	case ctx.Err() != nil:
		return neutral
	case isUnreachable(err):
		return failed
	default:
		return refused
	}
}

// isUnreachable reports whether the failure tells something about the target, and
// not about the node that was to be paired with it.
func isUnreachable(err error) bool {
	var reject *compat.RejectError
	if errors.As(err, &reject) {
		return reject.Code == compat.RejectFull || reject.Code == compat.RejectUnavailable ||
			reject.Code == compat.RejectClosing
	}
	var handshake *native.HandshakeError

	return !errors.As(err, &handshake) || handshake.Step != "node info"
}

// discard ends a connection of the side that is not used.
func (s *side) discard(m made) {
	s.drop(m.peer, errNotNeeded)
	m.close()
}
