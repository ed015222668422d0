package bridge

import (
	"slices"
	"time"
)

// maxLearnedTries is how many targets that were not configured are dialed for one pair. At most
// one of these is told.
const maxLearnedTries = 4

// choice is what the next target of a search depends on, beside the targets themselves.
type choice struct {
	tried   []*target
	learned int  // how many of them were not configured
	told    bool // one of them was told
	waiting bool // the dial of a configured one still runs
}

// pick returns the best target for the node that was not tried yet, or nil if there is none.
// The target is in use until it is released.
func (ts *targets) pick(node dialer, tried []*target) *target {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	c := choice{tried: tried}
	for _, t := range tried {
		_, running := ts.inUse.list[t]
		c.waiting = c.waiting || running && t.configured && !ts.records[t.addr.ID].isDown()
		c.learned += int(bit(!t.configured))
		c.told = c.told || t.told
	}
	allowed := slices.DeleteFunc(ts.list(node), func(t *target) bool { return !c.allows(t) })
	if len(allowed) == 0 {
		return nil
	}
	best := slices.MinFunc(allowed, func(a, b *target) int { return slices.Compare(c.rank(a), c.rank(b)) })
	best.picked = time.Now()
	ts.records[best.addr.ID] = best.record
	ts.inUse.list[best] = node
	ts.charge(best, node, 1)

	return best
}

// allows reports whether the target may be dialed now. No ID, and no IP and port, is dialed twice
// in a search. Targets that were not configured wait for the configured ones, however distant
// those are: a nearer one would always be faster.
func (c *choice) allows(t *target) bool {
	switch {
	case t.barred != nil, slices.ContainsFunc(c.tried, func(other *target) bool { return other.addr.Same(t.addr) }):
		return false
	case t.configured:
		return true
	default:
		return t.due && !c.waiting && c.learned < maxLearnedTries && !(t.told && c.told)
	}
}

// rank orders the targets, the lowest first. Each number decides between targets that are equal in
// all numbers before it, and the order of targets.all between those that are equal in all. A target
// whose penalty for failures is over gets its new try as the first of a search only.
func (c *choice) rank(t *target) []int64 {
	sameSource := slices.ContainsFunc(c.tried, func(other *target) bool { return t.source != "" && t.source == other.source })
	var turn int64
	if t.isTroubled() || t.failures > 0 && len(c.tried) > 0 {
		turn = t.picked.UnixNano()
	}

	return []int64{
		c.standing(t),
		bit(!t.configured),
		bit(sameSource), // IDs of one network do not use up the tries
		turn,            // those in trouble come last, and of these first the one that was dialed longest ago
		bit(!t.configured && !t.proven),
		int64(t.pairs),
	}
}

// standing puts targets that can be reached first, and of these the ones that no pair joins to the
// node: networks that only the bridge links would fall apart into islands. When a target that was
// not configured did not help, the configured ones come first, in that order too, even those that are
// down.
func (c *choice) standing(t *target) int64 {
	switch {
	case t.configured && c.learned > 0:
		return bit(t.joined) + 2*bit(t.isDown()) - 4
	case t.isDown():
		return 3
	case t.told:
		return 2
	default:
		return bit(t.joined)
	}
}

// bit returns 1 if the condition holds, else 0.
func bit(condition bool) int64 {
	if condition {
		return 1
	}

	return 0
}
