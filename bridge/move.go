package bridge

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// A pair keeps its target for as long as both nodes live. So after a configured target was away
// its nodes are with others, and stay there. Therefore pairs move back: one at a time, at a
// moment at which nothing was relayed for a while, and only to a target that accepts a
// connection. A pair moves by its end, with a reason: the node dials the bridge again, and the
// search gives it the better target.

// moveTimes are how pairs move.
type moveTimes struct {
	every time.Duration // between two looks for a pair that should move
	age   time.Duration // how long a pair has lasted at least
	quiet time.Duration // for how long nothing was relayed
	late  time.Duration // after this wait for a quiet moment a pair moves anyway
	apart time.Duration // between two moves, so that the node is back and has a pair
}

func defaultMoveTimes() moveTimes {
	return moveTimes{
		every: 5 * time.Second, age: 30 * time.Second, quiet: 500 * time.Millisecond,
		late: 5 * time.Minute, apart: 10 * time.Second,
	}
}

// spareLoad is by how many pairs more than a configured target another one of them may have.
const spareLoad = 1

var errMoves = compat.Reject(compat.RejectUnspecified, "the bridge moves the pair to another counterpart: a configured one, or one that has fewer pairs")

// mover moves pairs until the bridge stops.
type mover struct {
	*Bridge

	wanted time.Time // since when a pair should move; zero if none should
	last   *move     // the last one, until its node is back
	moved  time.Time // when that was
	vain   map[types.ID]vain
}

// move is a pair that was ended for another target.
type move struct {
	node claim
	to   types.ID
}

// vain are moves in a row after which the node had another target than the one it was meant
// for, which may refuse it. No pair moves there until the time.
type vain struct {
	moves int
	until time.Time
}

func (m *mover) run() {
	for task.Sleep(m.ctx, m.moves.every) {
		m.look()
	}
}

// look moves a pair if one should move and may do so now.
func (m *mover) look() {
	m.retry()
	if m.last != nil && !m.settle() {
		return
	}
	p, to := m.choose()
	switch {
	case p == nil:
		m.wanted = time.Time{}

		return
	case m.wanted.IsZero():
		m.wanted = time.Now()
	}
	busy := p.idle() < m.moves.quiet || p.waits()
	if time.Since(m.moved) < m.moves.apart || busy && time.Since(m.wanted) < m.moves.late {
		return
	}
	if m.reach(to) != nil {
		return // it is down, so that the next look finds another one
	}
	m.logger.Info("pair moves", "node", p.id, "from", p.target.addr.ID, "to", to.addr.ID)
	p.end(nil, errMoves)
	m.last, m.moved, m.wanted = &move{p.claim, to.addr.ID}, time.Now(), time.Time{}
}

// settle notes what became of the last move, and reports whether its node is back, or has
// taken too long.
func (m *mover) settle() bool {
	for _, p := range m.slots.live() {
		if p.claim != m.last.node || !p.since.After(m.moved) {
			continue
		}
		if id := m.last.to; p.target.addr.ID == id {
			delete(m.vain, id)
		} else {
			n := min(m.vain[id].moves+1, maxFailures)
			m.vain[id] = vain{n, time.Now().Add(failurePenalty << n)}
		}
		m.last = nil

		return true
	}
	if time.Since(m.moved) > failurePenalty {
		m.last = nil
	}

	return m.last == nil
}

// choose returns the pair that has been idle longest of those that should move, and the target
// that is better for it. It returns nil if all are where they should be.
func (m *mover) choose() (best *pair, to *target) {
	for _, p := range m.slots.live() {
		if time.Since(p.since) < m.moves.age || best != nil && p.idle() <= best.idle() {
			continue
		}
		better := p.dialed.targets.better(p.dialer(), p.target)
		if better != nil && time.Now().After(m.vain[better.addr.ID].until) {
			best, to = p, better
		}
	}

	return best, to
}

// better returns the configured target that the node should have in place of its present one:
// the one with the fewest pairs of those that may be dialed for it and are not known to be
// down. It returns nil if the present one is configured and has at most spareLoad pairs more.
//
// A target that has just declined some node counts only where the present one is not configured:
// it may take this one, and vain says if it does not.
func (ts *targets) better(node dialer, present *target) (best *target) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	list := ts.list(node)
	load, configured := 0, present.configured
	for _, t := range list {
		if t.addr.ID == present.addr.ID {
			load, configured = t.pairs, configured || t.configured // since the pair was made
		}
	}
	for _, t := range list {
		switch {
		case !t.configured || t.addr.ID == present.addr.ID || t.mayBeDown() || t.joined || t.barred != nil:
		case configured && t.isTroubled():
		case best == nil || t.pairs < best.pairs:
			best = t
		}
	}
	if best != nil && configured && load-best.pairs <= spareLoad {
		return nil
	}

	return best
}

// idle returns for how long nothing was relayed.
func (p *pair) idle() time.Duration {
	return time.Since(time.Unix(0, max(p.since.UnixNano(), p.native.relayed.Load(), p.libp2p.relayed.Load())))
}

// waits reports whether a node has yet to take messages, so that nothing new may be relayed.
func (p *pair) waits() bool {
	for _, s := range []*side{p.native, p.libp2p} {
		if u, ok := s.peer.(interface{ Unsent() int }); ok && u.Unsent() > 0 {
			return true
		}
		for _, ch := range s.peer.Status().Channels {
			if ch.SendQueueSize > 0 {
				return true
			}
		}
	}

	return false
}
