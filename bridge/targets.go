package bridge

import (
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
	lost  func() // called when one that was found in the DHT turns out to be of no use
}

// origin says how the bridge knows a target, the most trustworthy first.
type origin uint8

const (
	configured origin = iota
	proved            // it has connected to the bridge and proved its ID
	hinted            // a peer has told it
)

// target is guarded by the lock of the links.
type target struct {
	addr   *types.NetAddress // replaced when the node has moved, never written to
	origin origin
	source source // who told it
	found  bool   // in the DHT

	pairs    int
	failures int // in a row
	failed   time.Time
	refused  time.Time // when it did not want a node
	proven   bool      // it has kept a pair, and not failed since
	seen     time.Time // when a learned one was last told
}

// verdict is what an attempt, or a pair, tells about its target.
type verdict uint8

const (
	neutral verdict = iota
	refused         // it was there, and did not want the node
	failed          // it could not be reached
	worked
	atFault // it was there, and kept no pair
	brief   // the node has ended their pair at once
	parted  // the node has ended their pair later
)

// about is what a verdict comes down to for the target. A node can make a configured
// one refuse it, take long over that, or end their pair, so nothing but a dial that fails
// speaks against that. Of a stranger and a node nobody knows which one is at fault:
// strangers take turns then, so that a bad one is not the first again for who comes back.
func (v verdict) about(t *target) verdict {
	own := t.origin == configured
	switch {
	case v == atFault && own:
		return refused
	case v == atFault:
		return failed
	case v == brief && own:
		return neutral
	case v == brief:
		return refused
	case v == parted && own:
		return worked
	default:
		return v
	}
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
	ts := &targets{links: links, lost: func() {}}
	for _, addr := range addrs {
		ts.list = append(ts.list, &target{addr: addr})
	}

	return ts
}

// pick returns the best target for the node that was not tried yet and counts a
// pair for both, or nil when there is none. Nobody is paired with itself, as a node that
// speaks both protocols could.
func (ts *targets) pick(node types.ID, tried []*target) *target {
	return ts.pickBeside(node, tried, nil)
}

// pickBeside is pick while attempts at some of those that were tried still run.
func (ts *targets) pickBeside(node types.ID, tried, running []*target) *target {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	best := newChooser(ts.links, node, tried, running).best(ts.list)
	if best != nil {
		best.pairs++
		ts.links.pairs[linkOf(node, best.addr.ID)]++
	}

	return best
}

// at is where the target is dialed, and whether it is a configured one.
func (ts *targets) at(t *target) (addr types.NetAddress, own bool) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()

	return *t.addr, t.origin == configured
}

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
	if ts.note(node, t, v) {
		ts.lost()
	}
}

// note reports whether the target was of use before, and is not any more.
func (ts *targets) note(node types.ID, t *target, v verdict) (lost bool) {
	ts.links.mtx.Lock()
	defer ts.links.mtx.Unlock()
	t.pairs--
	l := linkOf(node, t.addr.ID)
	if ts.links.pairs[l]--; ts.links.pairs[l] == 0 {
		delete(ts.links.pairs, l)
	}
	counted := t.counts()
	if t.origin == configured && v != neutral && v != failed {
		t.failures = 0 // it can be reached
	}
	switch v.about(t) {
	case worked:
		t.failures, t.refused, t.proven = 0, time.Time{}, true
	case parted:
		t.failures, t.refused, t.proven = 0, time.Now(), true
	case refused:
		t.refused = time.Now()
	case failed:
		t.failures, t.failed, t.proven = min(t.failures+1, maxFailures), time.Now(), false
		ts.forgetFailing(t)
	}

	return counted && !t.counts()
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
