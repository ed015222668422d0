package bridge

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
)

const (
	// FlapAge is how long a node stays in Status.Flapping after its last pair has ended.
	FlapAge = 10 * time.Minute
	// minFlaps is how many pairs in a row must have ended early: a node that restarts, and
	// whose target then restarts, has lost two.
	minFlaps    = 3
	maxFlapping = 64
)

// FlappingStatus is a node that dials the bridge, gets a pair, and loses it within a minute, at
// least three times in a row.
type FlappingStatus struct {
	ID        types.ID  `json:"id"`
	Initiator string    `json:"initiator"` // the side from which it dials
	Target    types.ID  `json:"target"`    // of the last pair
	Ended     int       `json:"ended"`     // pairs in a row that have ended within a minute
	First     time.Time `json:"first"`     // when the first of them ended
	Last      time.Time `json:"last"`      // when the last one did
	By        string    `json:"by"`        // as in Counters.PairsEnded, of the last pair
	Text      string    `json:"text"`      // why the last pair has ended
	Cure      string    `json:"cure"`
	// Known tells that the node is configured, or that it has had a pair for a minute within SeenAge
	// and has not ended the last one itself, or that the cause is certain, whoever the node is.
	Known bool `json:"known"`
}

// flap are the pairs of a node that have ended early, in a row.
type flap struct {
	FlappingStatus
	entry
	byNode int // how many of the pairs the node itself has ended
}

// flapped notes the end of a pair. bothWays tells that its native target has dialed the bridge
// as well. The caller holds the lock.
func (j *journal) flapped(p *pair, end *ending, bothWays bool, now time.Time) {
	node := claim{p.initiator, p.id, p.at}
	switch {
	case now.Sub(p.since) >= conduct.UsefulUptime:
		delete(j.flaps, node)

		return
	case errors.Is(end.error, errMoves), errors.Is(end.error, errBlockedPair), p.bridge.ctx.Err() != nil:
		return // the bridge or its operator has ended it
	}
	f := j.flaps[node]
	if f == nil || now.Sub(f.Last) > FlapAge {
		delete(j.flaps, node)
		f = &flap{entry: entry{now, siteOf(p.from.Addr()), j.isKnown(p.id, now)}}
		if !makeRoomFor(j.flaps, maxFlapping, func(f *flap) entry { return f.entry }, f.entry) {
			return
		}
		f.FlappingStatus = FlappingStatus{ID: p.id, Initiator: p.initiator, First: now}
		j.flaps[node] = f
	}
	by, cause := end.told()
	f.at, f.Last, f.Target, f.By, f.Text = now, now, p.target.addr.ID, by, cut(cause)
	f.Ended++
	byNode := end.by == p.dialed.other() || end.replaced() // any node can do so as often as it likes
	f.byNode += int(bit(byNode))
	f.known = bothWays || j.exempt(p.id) || j.wasUseful(p.id, now) && !byNode
	f.Known = f.known
	f.Cure = cureOfFlapping(p, end, bothWays)
}

// isFlapping reports whether the node ends its pairs again and again. Pairs that the bridge or a target
// has ended say nothing of it. The caller holds the lock.
func (j *journal) isFlapping(id types.ID, now time.Time) bool {
	for node, f := range j.flaps {
		if node.id == id && f.byNode >= minFlaps && now.Sub(f.Last) <= FlapAge {
			return true
		}
	}

	return false
}

// cureOfFlapping says what an operator can do about pairs that end again and again.
func cureOfFlapping(p *pair, end *ending, bothWays bool) string {
	switch {
	case bothWays:
		return "The native node both dials this bridge and is a target of it, and native nodes keep one connection with an IP. Take it " +
			"out of [p2p].persistent_peers here, or this bridge out of its own, or set allow_duplicate_ip at the node."
	case end.replaced():
		return "Two nodes use one key, or the node dials again while it has a pair: give each a key of its own."
	case errors.Is(end.error, errGaveWay):
		_, cure := explain(errGaveWay)

		return cure
	case end.by == p.dialed:
		return "The target ends the pairs: its log has the reason. A native node takes one peer of an IP unless allow_duplicate_ip is set there."
	case end.by == nil:
		return "The bridge ends the pairs: see the reason, and its log."
	default:
		return "The node itself ends the pairs: its log has the reason."
	}
}

// flapping returns the nodes whose pairs end again and again, the latest first. The caller holds
// the lock.
func (j *journal) flapping(now time.Time) []FlappingStatus {
	list := []FlappingStatus{}
	for node, f := range j.flaps {
		switch {
		case now.Sub(f.Last) > FlapAge:
			delete(j.flaps, node)
		case f.Ended >= minFlaps:
			list = append(list, f.FlappingStatus)
		}
	}
	slices.SortFunc(list, func(a, b FlappingStatus) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })

	return list
}

// targetDialsBridge reports whether the native target of the pair has a pair, or one being made, as a
// node that has dialed the bridge.
func (p *pair) targetDialsBridge() bool {
	return p.dialed == p.native && p.bridge.slots.holds(InitiatorNative, p.dialed.peer.ID())
}

// holds reports whether a node of the side has a slot at any identity.
func (s *slots) holds(initiator string, id types.ID) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	for node := range s.held {
		if node.initiator == initiator && node.id == id {
			return true
		}
	}

	return false
}
