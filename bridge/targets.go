package bridge

import (
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// failurePenalty is how long a target that could not be reached is tried after
// all others.
const failurePenalty = 30 * time.Second

// targets are the nodes of one side that the bridge may pair others with.
type targets struct {
	links *links // of both sides, with the lock of their targets
	list  []*target
}

type target struct {
	addr   *types.NetAddress
	pairs  int
	failed time.Time
}

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
// pair for both, or nil when all were tried: reachable ones first, then those that no
// pair joins to the node already, then the least loaded, then as configured. A second
// pair of the same two nodes joins nobody, and may be what another node lacks: nodes
// that have no links but those of the bridge would fall apart into islands.
func (ts *targets) pick(node types.ID, tried []*target) *target {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	now := time.Now()
	var best *target
	for _, t := range ts.list {
		if slices.Contains(tried, t) {
			continue
		}
		if best == nil || ts.better(t, best, node, now) {
			best = t
		}
	}
	if best != nil {
		best.pairs++
		ts.links.pairs[linkOf(node, best.addr.ID)]++
	}

	return best
}

// better compares two targets for a node. The caller holds the lock.
func (ts *targets) better(t, other *target, node types.ID, now time.Time) bool {
	down, otherDown := now.Sub(t.failed) < failurePenalty, now.Sub(other.failed) < failurePenalty
	if down != otherDown {
		return otherDown
	}
	linked := ts.links.pairs[linkOf(node, t.addr.ID)] > 0
	if otherLinked := ts.links.pairs[linkOf(node, other.addr.ID)] > 0; linked != otherLinked {
		return otherLinked
	}

	return t.pairs < other.pairs
}

// release takes the node's pair off; failed says that it could not be made.
func (ts *targets) release(node types.ID, t *target, failed bool) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	t.pairs--
	l := linkOf(node, t.addr.ID)
	if ts.links.pairs[l]--; ts.links.pairs[l] == 0 {
		delete(ts.links.pairs, l)
	}
	if failed {
		t.failed = time.Now()
	}
}

func (ts *targets) addresses() []*types.NetAddress {
	addrs := make([]*types.NetAddress, 0, len(ts.list))
	for _, t := range ts.list {
		addrs = append(addrs, t.addr)
	}

	return addrs
}
