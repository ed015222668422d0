package bridge

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxLearnedTries bounds the targets that were not configured and are tried for one
	// pair, maxToldTries those of them that others have named.
	maxLearnedTries = 4
	maxToldTries    = 1
)

// choice is what the choice of the next target for a node depends on.
type choice struct {
	node          types.ID
	tried         []*target
	learned, told int  // how many of the tried ones were not configured, or only told
	waiting       bool // a configured target may still answer
}

// pick returns the best target for the node, or nil when there is none. It is in use until
// it is released. Some targets were tried already; those that are running may still answer.
func (ts *targets) pick(node dialer, tried []*target, running ...*target) (best *target) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	c := choice{node: node.id, tried: tried}
	for _, t := range tried {
		switch {
		case !t.configured:
			c.learned++
			c.told += int(bit(t.told))
		case slices.Contains(running, t) && !ts.records[t.addr.ID].isDown():
			c.waiting = true
		}
	}
	for _, t := range ts.all(node) {
		if c.allows(t) && (best == nil || slices.Compare(c.rank(t), c.rank(best)) < 0) {
			best = t
		}
	}
	if best != nil {
		best.picked = time.Now()
		ts.inUse.list[best] = node
	}

	return best
}

// allows reports whether the target may be dialed now. No node is paired with itself or with
// a blocked one, none twice with one target, by whatever identities, nor has a host two pairs
// with one, and nothing is dialed twice for one pair, neither an ID nor an IP and port. Targets
// that were not configured wait as long as a configured one may answer, however distant it is:
// a nearer one would always be faster. At an address that has never answered, the book decides
// whether a dial is due.
func (c *choice) allows(t *target) bool {
	again := func(other *target) bool { return other.addr.Same(t.addr) }
	if t.addr.ID == c.node || t.doubled || t.taken || t.spared || t.side.blocked(t.addr) || slices.ContainsFunc(c.tried, again) {
		return false
	}

	return t.configured || !c.waiting && c.learned < maxLearnedTries && (!t.told || c.told < maxToldTries) &&
		(t.answered || t.pairs > 0 || len(t.side.book.Dialable([]*types.NetAddress{&t.addr})) > 0)
}

// rank orders the targets, the lowest first. A later rule decides only between targets
// that are alike by all before it, and the book's order between those that are alike by
// all. Only failed dials, and a pair that joins the two nodes already, put other targets
// before a configured one.
func (c *choice) rank(t *target) []int64 {
	sameSource := func(other *target) bool { return t.source != "" && other.source == t.source }

	return []int64{
		bit(!t.configured && c.learned > 0), // after one of the others was tried, all configured ones are
		t.standing(),
		bit(!t.configured),
		bit(t.failures > 0 && len(c.tried) > 0),       // one second chance for each pair
		bit(slices.ContainsFunc(c.tried, sameSource)), // many IDs in one network do not use up the tries
		bit(t.isDown()) * int64(t.pairs),              // while one is tried, another node tries the next
		t.turn(),
		bit(!t.configured && !t.proven),
		int64(t.pairs),
	}
}

// standing is what counts most: whether the target can be reached, whether it has proved
// its ID, and whether the pair would join two nodes that nothing else joins. Without the
// last, networks that only the bridge links would fall apart into islands.
func (t *target) standing() int64 {
	switch {
	case t.isDown() && !t.configured:
		return 4
	case t.isDown():
		return 3
	case t.told:
		return 2
	default:
		return bit(t.joined)
	}
}

// turn lets targets that have failed, or that decline nodes, take turns: the one that did
// so longest ago comes first.
func (t *target) turn() int64 {
	if !t.isTroubled() {
		return 0
	}

	return t.troubled.UnixNano()
}

// bit returns 1 if the condition holds, else 0.
func bit(condition bool) int64 {
	if condition {
		return 1
	}

	return 0
}
