package bridge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// pairTimeout bounds the search for a counterpart, and each dial: the remote that waits
	// gives up after 3 s (docs/wire.md §3).
	pairTimeout = 2500 * time.Millisecond
	// patience is how long one target may take before another one is dialed beside it. A
	// distant one needs seven round trips, so it may answer later.
	patience = time.Second
	// loserTimeout is how long the end of a pair waits for dials of its search that still run:
	// their targets would refuse the node's next connection as a duplicate.
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

	tried   []*target
	running int // dials of which find has no result
	errs    []error
	results chan attempt
	over    chan struct{} // closed when find takes no more results
	dials   sync.WaitGroup
	left    chan struct{} // closed when all dials have ended
}

// attempt is the result of dialing a target.
type attempt struct {
	target *target
	peer   compat.PeerConn
	err    error
}

// find dials the targets, best first, until one answers or the context ends. The next one is dialed
// when one has failed, or has not answered within patience. The caller releases the target when the
// pair has ended. Other dials go on, since only their own end shows whether their targets are up,
// until they or the pair end.
func (s *search) find(ctx, pair context.Context) (*target, compat.PeerConn, error) {
	s.results, s.over, s.left = make(chan attempt), make(chan struct{}), make(chan struct{})
	defer s.bridge.wg.Go(func() {
		s.dials.Wait()
		close(s.left)
	})
	defer close(s.over)
	for s.next(ctx, pair) || s.running > 0 {
		select {
		case a := <-s.results:
			s.running--
			if a.err == nil {
				s.targets.lose(s.tried, a.target)

				return a.target, a.peer, nil
			}
			s.errs = append(s.errs, a.err)
		case <-time.After(s.bridge.patience):
		case <-ctx.Done():
			return nil, nil, s.failure(ctx)
		}
	}

	return nil, nil, s.failure(ctx)
}

// next begins to dial the next target, if there is one and the context has not ended.
func (s *search) next(ctx, pair context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	t := s.targets.pick(s.node, s.tried)
	if t == nil {
		return false
	}
	s.tried = append(s.tried, t)
	s.running++
	s.dials.Go(func() { s.dial(pair, t) })

	return true
}

// dial dials the target, notes what that has shown, and hands the result to find. A connection that
// find does not take is ended.
func (s *search) dial(pair context.Context, t *target) {
	ctx, stop := context.WithTimeout(pair, s.bridge.pairTimeout)
	defer stop()
	peer, err := s.try(ctx, t.addr)
	s.bridge.journal.attempt(s.bridge.sideOf(s.targets), t.addr, s.node, err)
	if err != nil {
		s.giveUp(pair, t, err)
	} else {
		s.targets.appeared(t.addr.ID, false, false)
	}
	select {
	case s.results <- attempt{t, peer, err}:
	case <-s.over:
		if err == nil {
			s.discard(peer)
			s.targets.release(t, unknown)
		}
	}
}

// giveUp releases a target whose dial has failed. The book and the DHT are told that it was not
// reached, but not that it has refused the node, which may be due to the node.
func (s *search) giveUp(pair context.Context, t *target, err error) {
	o := judge(pair, err)
	if isConnectFailure(err) || s.targets.sessions && !compat.ClassifyDial(err).Answered() && !isCutShort(pair) {
		s.targets.refund(t)
	}
	if s.targets.release(t, o) && o == unreachable && s.targets == s.bridge.libp2pTargets {
		s.bridge.book.MarkDialFailed(&t.addr, err)
		s.bridge.missed.Notify(events.DialFailedEvent{Address: t.addr, Reason: err})
	}
}

// isConnectFailure reports whether a native target has not seen the dial.
func isConnectFailure(err error) bool {
	handshake, ok := errors.AsType[*native.HandshakeError](err)

	return ok && handshake.Step == "dial"
}

// isCutShort reports whether the pair has ended before its dials had their time, as when the node has
// opened another one. Such dials may have reached their targets, and a node can end pairs in this way
// as often as it likes.
func isCutShort(pair context.Context) bool {
	end, ok := context.Cause(pair).(*ending)

	return pair.Err() != nil && !(ok && end.error == errNoCounterpart) // see slots.giveBack
}

// failure says why there is no counterpart.
func (s *search) failure(ctx context.Context) error {
	var barring error
	all := s.targets.all(s.node)
	for _, reason := range []error{errNoFurther, errDuplicateIP, errSpared} {
		if slices.ContainsFunc(all, func(t *target) bool { return t.barred == reason }) {
			barring = reason

			break
		}
	}
	if len(s.tried) > 0 || ctx.Err() != nil {
		m := newMissed(s.errs, ctx.Err())
		m.unfit = m.unfit && barring == nil // else another target may fit

		return m
	}

	return cmp.Or(barring, errNoTargets)
}

// judge returns what a failed dial shows about its target: nothing if the pair or the bridge itself
// has ended it.
func judge(pair context.Context, err error) outcome {
	failure := compat.ClassifyDial(err)
	switch {
	case pair.Err() != nil, failure == compat.DialLocal:
		return unknown
	case !failure.Answered(), isOwnBlock(err):
		return unreachable
	case refusesAll(failure):
		return faulty
	default:
		return declined
	}
}

// refusesAll reports whether a target that refuses a node so would refuse any other, too.
func refusesAll(failure compat.DialFailure) bool {
	return failure == compat.DialBusy || failure == compat.DialClosing
}
