package bridge

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxLearnedTries bounds the targets that were not configured and are tried for one
	// pair, maxToldTries those of them that were only told.
	maxLearnedTries = 4
	maxToldTries    = 1
)

// choice is what the choice of the next target for a node depends on. Whoever uses it
// holds the lock of the links.
type choice struct {
	links         *links
	node          types.ID
	now           time.Time
	tried         []*target
	learned, told int             // how many of the tried ones were not configured, or only told
	sources       map[source]bool // of the tried ones that were not configured
	waiting       bool            // a configured target may still answer
}

// pick returns the best target for the node and counts a pair for both, or returns nil
// when there is none. Some targets were tried already; those that are running may still
// answer.
func (ts *targets) pick(node types.ID, tried []*target, running ...*target) (best *target) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	c := newChoice(ts.links, node, tried, running)
	var lowest []int64
	for _, t := range ts.list {
		if !c.allows(t) {
			continue
		}
		if rank := c.rank(t); best == nil || slices.Compare(rank, lowest) < 0 {
			best, lowest = t, rank
		}
	}
	if best != nil {
		best.pairs++
		ts.links.pairs[linkOf(node, best.addr.ID)]++
	}

	return best
}

func newChoice(links *links, node types.ID, tried, running []*target) *choice {
	c := &choice{links: links, node: node, now: time.Now(), tried: tried, sources: make(map[source]bool)}
	for _, t := range tried {
		switch {
		case t.origin != configured:
			c.learned++
			c.told += int(bit(t.origin == told))
			c.sources[t.source] = t.source.IsValid()
		case slices.Contains(running, t) && !t.isDown(c.now):
			c.waiting = true
		}
	}

	return c
}

// allows reports whether the target was not tried yet and the limits allow it. No node
// is paired with itself. Targets that were not configured wait as long as a configured one
// may answer, however distant it is: a nearer one would always be faster.
func (c *choice) allows(t *target) bool {
	same := func(other *target) bool { return other.addr.ID == t.addr.ID }
	if t.addr.ID == c.node || slices.ContainsFunc(c.tried, same) {
		return false
	}

	return t.origin == configured ||
		!c.waiting && c.learned < maxLearnedTries && (t.origin != told || c.told < maxToldTries)
}

// rank orders the targets: the one with the lowest rank is tried first. The numbers are
// compared one after the other, as the letters of two words are: a later one decides only
// between targets that are alike in all before it. A condition puts the targets for which
// it holds behind the others. Only failed dials, and a pair that joins the two nodes
// already, put other targets before a configured one.
func (c *choice) rank(t *target) []int64 {
	learned, down := t.origin != configured, t.isDown(c.now)
	var failed, declined int64
	if down {
		failed = t.failed.UnixNano()
	}
	if t.hasDeclined(c.now) {
		declined = t.declined.UnixNano()
	}

	return []int64{
		// After one learned target was tried, all configured ones come first, even those
		// that are down.
		bit(learned && c.learned > 0),
		// Then those that are up. Of those that are down, the configured ones come first,
		// and then the one whose last failure is the oldest.
		bit(down),
		bit(learned && down),
		failed,
		// A target that somebody named has proved nothing.
		bit(t.origin == told),
		// A second pair of the same two nodes joins nobody, and networks that only the
		// bridge links would fall apart into islands.
		bit(c.links.pairs[linkOf(c.node, t.addr.ID)] > 0),
		bit(learned),
		// Of the targets whose penalty is over, one for each pair gets another chance.
		bit(t.failures > 0 && len(c.tried) > 0),
		// A host with many IDs does not use up the time for a pair.
		bit(c.sources[t.source]),
		// Targets that decline nodes take turns.
		declined,
		// Learned targets that have kept a pair come first, and then the least loaded.
		bit(learned && !t.proven),
		int64(t.pairs),
	}
}

// bit returns 1 if the condition holds, else 0.
func bit(condition bool) int64 {
	if condition {
		return 1
	}

	return 0
}
