package bridge

import (
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// failurePenalty is how long a target that could not be reached is tried after
	// all others. It doubles with each failure in a row up to maxPenalty, so that few of
	// many dead targets are tried again at a time.
	failurePenalty = 30 * time.Second
	maxPenalty     = 16 * time.Minute
	// maxFailures is after how many failed dials in a row a target is forgotten that was
	// not configured. A target that was only told is forgotten after the first.
	maxFailures = 8
)

// targets are the nodes of one side that the bridge may dial to complete pairs.
type targets struct {
	links *links // of both sides; its lock guards the targets as well
	list  []*target
	lost  func() // called when a target that was found in the DHT becomes useless
}

// origin says how the bridge knows a target, the most trustworthy first.
type origin uint8

const (
	configured origin = iota
	announced         // it proved its ID: it dialed the bridge, or was found in the DHT
	told              // another node named it
)

// target is guarded by the lock of the links.
type target struct {
	addr   *types.NetAddress // replaced when the node moves, never written to
	origin origin
	source source    // the host that announced or told it
	found  bool      // in the DHT
	seen   time.Time // when it was last announced or told

	pairs    int       // that are up or being made
	failures int       // failed dials in a row
	failed   time.Time // the last of these
	declined time.Time // when it last declined a node, or a node left it
	proven   bool      // it has kept a pair, and not failed since
}

// outcome is what an attempt, or a pair that has ended, shows about its target.
type outcome uint8

const (
	unknown       outcome = iota
	declined              // it answered, and did not want the node
	unreachable           // it could not be reached
	kept                  // it kept a pair
	faulty                // it answered, and kept no pair or would have refused any node
	nodeLeftEarly         // the node ended the pair before minUptime
	nodeLeft              // the node ended the pair later
)

// links counts the pairs that join two nodes, whichever of them dialed the bridge.
type links struct {
	mtx   sync.Mutex
	pairs map[link]int
}

// link is two nodes, the lower ID first.
type link [2]types.ID

func linkOf(a, b types.ID) link { return link{min(a, b), max(a, b)} }

func newLinks() *links { return &links{pairs: make(map[link]int)} }

func newTargets(addrs []*types.NetAddress, links *links) *targets {
	ts := &targets{links: links, lost: func() {}}
	for _, addr := range addrs {
		ts.list = append(ts.list, &target{addr: addr})
	}

	return ts
}

// at returns where the target is dialed, and whether it is a configured one.
func (ts *targets) at(t *target) (addr types.NetAddress, own bool) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	return *t.addr, t.origin == configured
}

// isDown reports whether the penalty for failed dials still runs.
func (t *target) isDown(now time.Time) bool {
	penalty := min(failurePenalty<<max(t.failures-1, 0), maxPenalty)

	return t.failures > 0 && now.Sub(t.failed) < penalty
}

// hasDeclined reports whether the target declined a node within failurePenalty.
func (t *target) hasDeclined(now time.Time) bool {
	return now.Sub(t.declined) < failurePenalty
}

// isUseful reports whether the target was found in the DHT and serves the bridge. One
// that declines nodes, and has never kept a pair, does not.
func (t *target) isUseful() bool {
	return t.origin == announced && t.found && t.failures == 0 && (t.proven || t.declined.IsZero())
}

// release takes back the pair that pick counted, and notes what became of it.
func (ts *targets) release(node types.ID, t *target, o outcome) {
	ts.links.mtx.Lock()
	wasUseful := t.isUseful()
	t.pairs--
	l := linkOf(node, t.addr.ID)
	if ts.links.pairs[l]--; ts.links.pairs[l] == 0 {
		delete(ts.links.pairs, l)
	}
	t.note(o)
	if t.failures > 0 && t.origin == told || t.failures == maxFailures && t.origin == announced {
		ts.list = slices.DeleteFunc(ts.list, func(other *target) bool { return other == t })
	}
	lost := wasUseful && !t.isUseful()
	ts.links.mtx.Unlock()
	if lost {
		ts.lost()
	}
}

// note changes what is known of the target. Any node can make a configured target
// decline it, answer late, or end the pair, so only failed dials count against one. With
// another target nobody can tell which end was at fault, so these take turns.
func (t *target) note(o outcome) {
	own := t.origin == configured
	if own && o != unknown && o != unreachable {
		t.failures = 0 // it answered
	}
	switch {
	case o == unreachable, o == faulty && !own:
		t.failures, t.failed, t.proven = min(t.failures+1, maxFailures), time.Now(), false
	case o == kept, o == nodeLeft:
		t.failures, t.declined, t.proven = 0, time.Time{}, true
	}
	if o == declined || own && o == faulty || !own && (o == nodeLeftEarly || o == nodeLeft) {
		t.declined = time.Now()
	}
}

// where returns the addresses of the targets for which the condition holds.
func (ts *targets) where(holds func(*target) bool) (addrs []*types.NetAddress) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	for _, t := range ts.list {
		if holds(t) {
			addrs = append(addrs, t.addr)
		}
	}

	return addrs
}

// addresses returns those of the configured targets.
func (ts *targets) addresses() []*types.NetAddress {
	return ts.where(func(t *target) bool { return t.origin == configured })
}

// countUseful counts the targets that were found in the DHT and serve the bridge.
func (ts *targets) countUseful() uint64 { return uint64(len(ts.where((*target).isUseful))) }

// isServing reports whether the node is a configured target that has not failed.
func (ts *targets) isServing(id types.ID) bool {
	return len(ts.where(func(t *target) bool {
		return t.origin == configured && t.failures == 0 && t.addr.ID == id
	})) > 0
}
