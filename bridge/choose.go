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

// rank orders the targets: the one with the lowest rank is tried first. Only failed dials,
// and a pair that joins the two nodes already, put other targets before a configured one.
// A second pair of the same two nodes joins nobody, and networks that only the bridge
// links would fall apart into islands.
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
		bit(learned && c.learned > 0), // after one learned target, all configured ones
		bit(down),
		bit(learned && down),
		failed, // of those that are down, the one that failed first
		bit(t.origin == told),
		bit(c.links.pairs[linkOf(c.node, t.addr.ID)] > 0),
		bit(learned),
		bit(t.failures > 0 && len(c.tried) > 0), // one target for each pair gets another chance
		bit(c.sources[t.source]),                // a host with many IDs does not use up the time
		declined,                                // a target that declines everybody takes its turn
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
