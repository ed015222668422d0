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
	mtx  sync.Mutex
	list []*target
}

type target struct {
	addr   *types.NetAddress
	pairs  int
	failed time.Time
}

func newTargets(addrs []*types.NetAddress) *targets {
	ts := &targets{}
	for _, addr := range addrs {
		ts.list = append(ts.list, &target{addr: addr})
	}

	return ts
}

// pick returns the best target that was not tried yet and counts a pair for it,
// or nil when all were tried: reachable ones first, then the least loaded, then
// as configured.
func (ts *targets) pick(tried []*target) *target {
	ts.mtx.Lock()
	defer ts.mtx.Unlock()

	now := time.Now()
	var best *target
	for _, t := range ts.list {
		if slices.Contains(tried, t) {
			continue
		}
		if best == nil || t.before(best, now) {
			best = t
		}
	}
	if best != nil {
		best.pairs++
	}

	return best
}

func (t *target) before(other *target, now time.Time) bool {
	down, otherDown := now.Sub(t.failed) < failurePenalty, now.Sub(other.failed) < failurePenalty
	if down != otherDown {
		return otherDown
	}

	return t.pairs < other.pairs
}

// release takes a pair off; failed says that it could not be made.
func (ts *targets) release(t *target, failed bool) {
	ts.mtx.Lock()
	defer ts.mtx.Unlock()
	t.pairs--
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
