package bridge

import (
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// failurePenalty is how long a target that could not be reached is tried after
	// all others. It doubles with each failure in a row: of many dead targets few are
	// tried anew at a time, so that they do not keep the live ones out.
	failurePenalty = 30 * time.Second
	maxPenalty     = 16 * time.Minute
	// maxLearnedTries bounds the learned targets that are tried for one node, and
	// maxHintTries those that nobody has proved to be there.
	maxLearnedTries = 4
	maxHintTries    = 1
)

// targets are the nodes of one side that the bridge may pair others with.
type targets struct {
	links *links // of both sides, with the lock of their targets
	list  []*target
}

// origin says how the bridge knows a target, the most trustworthy first.
type origin uint8

const (
	configured origin = iota
	proved            // it has connected to the bridge and proved its ID
	hinted            // a peer has told it
)

type target struct {
	// These never change.
	addr   *types.NetAddress
	origin origin
	source source // who told it

	pairs    int
	failures int // in a row
	failed   time.Time
	refused  time.Time // when it did not want a node
	seen     time.Time // when a learned one was last told
}

// verdict is what an attempt, or a pair, tells about its target.
type verdict uint8

const (
	neutral verdict = iota
	refused         // it was there, and did not want the node
	failed
	worked
)

// links counts the pairs that join two nodes, whichever of them opened the pair.
type links struct {
	mtx   sync.Mutex
	pairs map[link]int
}

// link is two nodes, the lower ID first.
type link [2]types.ID

func linkOf(a, b types.ID) link { return link{min(a, b), max(a, b)} }

func newLinks() *links { return &links{pairs: make(map[link]int)} }

func newTargets(addrs []*types.NetAddress, links *links) *targets {
	ts := &targets{links: links}
	for _, addr := range addrs {
		ts.list = append(ts.list, &target{addr: addr})
	}

	return ts
}

// pick returns the best target for the node that was not tried yet and counts a
// pair for both, or nil when there is none: reachable ones first, then those that no
// pair joins to the node already, then those that are configured, then the least
// loaded. A second pair of the same two nodes joins nobody, and may be what another
// node lacks: nodes that have no links but those of the bridge would fall apart into
// islands. Nobody is paired with itself, as a node that speaks both protocols could.
func (ts *targets) pick(node types.ID, tried []*target) *target {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	c := chooser{links: ts.links, node: node, now: time.Now()}
	for _, t := range tried {
		c.count(t)
	}
	var best *target
	for _, t := range ts.list {
		if t.addr.ID == node || slices.Contains(tried, t) || !c.mayTry(t) {
			continue
		}
		if best == nil || c.better(t, best) {
			best = t
		}
	}
	if best != nil {
		best.pairs++
		ts.links.pairs[linkOf(node, best.addr.ID)]++
	}

	return best
}

// chooser compares targets for a node. Its user holds the lock of the links.
type chooser struct {
	links          *links
	node           types.ID
	now            time.Time
	tried          int
	learned, hints int // of those that were tried
}

// count notes a target that was tried in vain.
func (c *chooser) count(t *target) {
	c.tried++
	if t.origin != configured {
		c.learned++
	}
	if t.origin == hinted {
		c.hints++
	}
}

// mayTry reports whether the limits allow to try the target.
func (c *chooser) mayTry(t *target) bool {
	switch t.origin {
	case configured:
		return true
	case proved:
		return c.learned < maxLearnedTries
	default:
		return c.learned < maxLearnedTries && c.hints < maxHintTries
	}
}

func (c *chooser) better(t, other *target) bool {
	// Strangers who say they are targets must not use up the time of configured ones.
	if own, otherOwn := t.origin == configured, other.origin == configured; c.learned > 0 && own != otherOwn {
		return own
	}
	down := t.isDown(c.now)
	if otherDown := other.isDown(c.now); down != otherDown {
		return otherDown
	}
	if down {
		return t.failed.Before(other.failed)
	}
	// One that may have come back is given its chance, but not the next one too.
	if doubtful, otherDoubtful := t.failures > 0, other.failures > 0; c.tried > 0 && doubtful != otherDoubtful {
		return otherDoubtful
	}
	if hint, otherHint := t.origin == hinted, other.origin == hinted; hint != otherHint {
		return otherHint
	}
	// One that always says no must not be the first for everybody.
	if no, otherNo := t.hasRefused(c.now), other.hasRefused(c.now); no != otherNo {
		return otherNo
	} else if no {
		return t.refused.Before(other.refused)
	}
	linked := c.linked(t)
	if otherLinked := c.linked(other); linked != otherLinked {
		return otherLinked
	}
	if t.origin != other.origin {
		return t.origin < other.origin
	}

	return t.pairs < other.pairs
}

func (c *chooser) linked(t *target) bool { return c.links.pairs[linkOf(c.node, t.addr.ID)] > 0 }

// isDown reports whether the target has failed not long ago.
func (t *target) isDown(now time.Time) bool {
	if t.failures == 0 {
		return false
	}
	penalty := failurePenalty
	for range t.failures - 1 {
		penalty = min(2*penalty, maxPenalty)
	}

	return now.Sub(t.failed) < penalty
}

// hasRefused reports whether the target did not want a node not long ago.
func (t *target) hasRefused(now time.Time) bool {
	return !t.refused.IsZero() && now.Sub(t.refused) < failurePenalty
}

// release takes the node's pair off, and notes what it told about the target.
func (ts *targets) release(node types.ID, t *target, v verdict) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	t.pairs--
	l := linkOf(node, t.addr.ID)
	if ts.links.pairs[l]--; ts.links.pairs[l] == 0 {
		delete(ts.links.pairs, l)
	}
	switch v {
	case worked:
		t.failures, t.refused = 0, time.Time{}
	case refused:
		t.refused = time.Now()
	case failed:
		t.failures, t.failed = min(t.failures+1, maxFailures), time.Now()
		ts.forgetFailing(t)
	}
}

// addresses are those of the configured targets.
func (ts *targets) addresses() []*types.NetAddress {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	var addrs []*types.NetAddress
	for _, t := range ts.list {
		if t.origin == configured {
			addrs = append(addrs, t.addr)
		}
	}

	return addrs
}
