package bridge

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// chooser compares targets for a node. Its user holds the lock of the links.
type chooser struct {
	links          *links
	node           types.ID
	now            time.Time
	tried          []*target
	learned, hints int             // of those that were tried
	sources        map[source]bool // of learned ones that were tried
	held           bool            // a configured one may still answer
}

// newChooser returns a chooser for a node for which some were tried, of which some may
// still answer.
func newChooser(links *links, node types.ID, tried, running []*target) *chooser {
	c := &chooser{links: links, node: node, now: time.Now(), tried: tried, sources: make(map[source]bool)}
	for _, t := range tried {
		switch {
		case t.origin != configured:
			c.learned++
			c.sources[t.source] = true
		case slices.Contains(running, t) && !t.isDown(c.now):
			c.held = true
		}
		if t.origin == hinted {
			c.hints++
		}
	}
	delete(c.sources, source{}) // private networks are no source

	return c
}

// best returns the best target that may be tried, or nil.
func (c *chooser) best(list []*target) *target {
	var best *target
	for _, t := range list {
		if c.mayTry(t) && (best == nil || c.better(t, best)) {
			best = t
		}
	}

	return best
}

// mayTry reports whether the target was not tried yet, and the limits allow it. Learned
// ones wait for the answer of a configured one, however far away that is, unless it has
// failed of late: a stranger nearby would always be faster.
func (c *chooser) mayTry(t *target) bool {
	known := func(other *target) bool { return other.addr.ID == t.addr.ID }
	if t.addr.ID == c.node || slices.ContainsFunc(c.tried, known) {
		return false
	}
	switch t.origin {
	case configured:
		return true
	case proved:
		return !c.held && c.learned < maxLearnedTries
	default:
		return !c.held && c.learned < maxLearnedTries && c.hints < maxHintTries
	}
}

// better reports whether the target is to be tried before the other: a configured one
// before learned ones, unless a dial of it has failed of late or a pair joins it to the
// node already. A second pair of the same two nodes joins nobody, and may be what
// another node lacks: nodes that have no links but those of the bridge would fall apart
// into islands. What a node can bring about orders targets of one origin only.
func (c *chooser) better(t, other *target) bool {
	own, otherOwn := t.origin == configured, other.origin == configured
	// Strangers who say they are targets must not use up the time of configured ones.
	if c.learned > 0 && own != otherOwn {
		return own
	}
	if down, otherDown := t.isDown(c.now), other.isDown(c.now); down != otherDown {
		return otherDown
	} else if down && own != otherOwn {
		return own
	} else if down {
		return t.failed.Before(other.failed)
	}
	if hint, otherHint := t.origin == hinted, other.origin == hinted; hint != otherHint {
		return otherHint
	}
	if linked, otherLinked := c.linked(t), c.linked(other); linked != otherLinked {
		return otherLinked
	}
	if own != otherOwn {
		return own
	}

	return c.betterOfItsKind(t, other)
}

// betterOfItsKind compares two that are configured, or two that are not.
func (c *chooser) betterOfItsKind(t, other *target) bool {
	// One that may have come back is given its chance, but not the next one too.
	if doubtful, otherDoubtful := t.failures > 0, other.failures > 0; len(c.tried) > 0 && doubtful != otherDoubtful {
		return otherDoubtful
	}
	// Who has many IDs at one address must not use up the time of the others.
	if known, otherKnown := c.sources[t.source], c.sources[other.source]; known != otherKnown {
		return otherKnown
	}
	// One that always says no must not be the first for everybody.
	if no, otherNo := t.hasRefused(c.now), other.hasRefused(c.now); no != otherNo {
		return otherNo
	} else if no {
		return t.refused.Before(other.refused)
	}
	if t.origin != configured && t.proven != other.proven {
		return t.proven
	}

	return t.pairs < other.pairs
}

func (c *chooser) linked(t *target) bool { return c.links.pairs[linkOf(c.node, t.addr.ID)] > 0 }
