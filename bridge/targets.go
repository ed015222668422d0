package bridge

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxLearned bounds the addresses of targets that were not configured, maxPerSource
	// those that one host, or one network, names and that have not answered yet.
	maxLearned   = 64
	maxPerSource = 8
	// failurePenalty is how long a target that has failed is tried after all others. It
	// doubles with each failure in a row, up to 16 minutes after maxFailures.
	failurePenalty = 30 * time.Second
	maxFailures    = 6
)

// targets are the nodes of one side that the bridge may dial to complete pairs: the
// configured ones, and those in the address book.
type targets struct {
	configured []*types.NetAddress
	book       *addrbook.Book // nil: configured ones only
	inUse      *inUse         // its lock guards the records
	records    map[types.ID]record
	lost       func() // called when a target that was found in the DHT becomes useless
	blocked    func(types.NetAddress) bool
	spent      map[types.ID]*rate.Limiter // see spares; nil: not counted
}

// inUse are the targets of both sides that are dialed or have a pair, by the node for
// which they were picked.
type inUse struct {
	mtx  sync.Mutex
	list map[*target]dialer
}

// dialer is a node that has dialed the bridge.
type dialer struct {
	id   types.ID
	host netip.Prefix // not valid if its host may have several pairs with one target
	at   types.ID     // the identity of the bridge that it has dialed
	from netip.Prefix // its host, whether or not that may have several pairs
	// stranger tells that the node is not configured, and has had no pair for a minute.
	stranger bool
}

// target is a node that may be dialed, as it was known when it was picked.
type target struct {
	record

	side       *targets
	addr       types.NetAddress
	configured bool
	answered   bool      // the bridge has dialed it there
	told       bool      // others have named it, and it has proved nothing
	source     string    // the network that vouches for it; empty for private ones
	pairs      int       // that are up or being made
	joined     bool      // to the node by a pair
	doubled    bool      // paired with a node of the same host
	taken      bool      // paired with the node, which has dialed another identity of the bridge
	spared     bool      // the node is a stranger, and the target is spared those
	picked     time.Time // when pick has returned it
}

// record is how attempts at a target, and pairs with it, have ended.
type record struct {
	failures int       // in a row: not reached, or, unless it was configured, at fault
	troubled time.Time // when it failed, declined a node, or a node left it, if the last did not go well
	proven   bool      // it has kept a pair, and not failed since
	found    bool      // in the DHT
	reached  time.Time // when it answered a dial, if it was configured
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

// isTroubled reports whether the target has failed, or declined a node, not long ago.
func (r record) isTroubled() bool {
	return time.Since(r.troubled) < failurePenalty<<max(r.failures-1, 0)
}

// isDown reports whether the penalty for failures still runs.
func (r record) isDown() bool { return r.failures > 0 && r.isTroubled() }

// isUseful reports whether the target was found in the DHT and serves the bridge. One
// that declines nodes, and has never kept a pair, does not.
func (r record) isUseful() bool {
	return r.found && r.failures == 0 && (r.proven || r.troubled.IsZero())
}

// after returns the record after an outcome. Any node can make a configured target
// decline it, answer late, or end the pair, so only failed dials count against one. With
// another target nobody can tell which end was at fault, so these take turns.
func (r record) after(o outcome, configured bool) record {
	if o == unknown {
		return r
	}
	left := o == nodeLeft || o == nodeLeftEarly
	failed := o == unreachable || o == faulty && !configured
	next := record{found: r.found, reached: r.reached, proven: !failed && (r.proven || o == kept || o == nodeLeft)}
	if failed {
		next.failures = min(r.failures+1, maxFailures)
	}
	if failed || o == declined || o == faulty || left && !configured {
		next.troubled = time.Now()
	}

	return next
}

func newTargets(configured []*types.NetAddress, book *addrbook.Book, inUse *inUse) *targets {
	return &targets{
		configured: configured, book: book, inUse: inUse, records: make(map[types.ID]record), lost: func() {},
		blocked: func(types.NetAddress) bool { return false },
	}
}

// isConfigured reports whether a configured target has the ID, or the IP and port.
func (ts *targets) isConfigured(addr types.NetAddress) bool {
	return slices.ContainsFunc(ts.configured, func(own *types.NetAddress) bool { return own.Same(addr) })
}

// all returns the targets, each ID once, as they concern the node. The configured ones come
// first, and then the others in the order of the book. One that is in use stays a target,
// whatever the book has dropped. The caller holds the lock.
func (ts *targets) all(node dialer) (all []*target) {
	byID := make(map[types.ID]*target)
	add := func(t target) {
		if byID[t.addr.ID] == nil {
			t.side, t.record, t.pairs, t.joined, t.doubled, t.taken = ts, ts.records[t.addr.ID], 0, false, false, false
			t.spared = node.stranger && ts.spares(t.addr.ID)
			byID[t.addr.ID] = &t
			all = append(all, &t)
		}
	}
	for _, addr := range ts.configured {
		add(target{addr: *addr, configured: true})
	}
	if ts.book != nil {
		for _, e := range slices.DeleteFunc(ts.book.Entries(), func(e addrbook.Entry) bool { return ts.isConfigured(e.Addr) }) {
			told := !e.HasAnswered() && !e.Announced()
			add(target{addr: e.Addr, source: e.SourceNetwork(), answered: e.HasAnswered(), told: told})
		}
	}
	for used := range ts.inUse.list {
		if used.side == ts {
			add(*used)
		}
	}
	for used, by := range ts.inUse.list {
		if t := byID[used.addr.ID]; t != nil && used.side == ts {
			t.pairs++
			t.joined = t.joined || by.id == node.id
			t.taken = t.taken || by.id == node.id && by.at != node.at
			t.doubled = t.doubled || by.host == node.host && by.host.IsValid()
		} else if t := byID[by.id]; t != nil && used.addr.ID == node.id {
			t.joined = true // it has dialed the node
		}
	}
	maps.DeleteFunc(ts.records, func(id types.ID, _ record) bool { return byID[id] == nil })
	maps.DeleteFunc(ts.spent, func(id types.ID, _ *rate.Limiter) bool { return byID[id] == nil })

	return all
}

// release takes back what pick has returned, and notes what became of it.
func (ts *targets) release(t *target, o outcome) {
	ts.inUse.mtx.Lock()
	ts.spend(t, ts.inUse.list[t], o)
	delete(ts.inUse.list, t)
	before := ts.records[t.addr.ID]
	now := before.after(o, t.configured)
	if o == unreachable && (t.picked.Before(before.reached) || before.failures > 0 && t.picked.Before(before.troubled)) {
		now = before // it has answered another node meanwhile, or attempts at the same time are one failure
	}
	ts.records[t.addr.ID] = now
	ts.inUse.mtx.Unlock()
	if before.isUseful() && !now.isUseful() {
		ts.lost()
	}
}

// reached notes that a target has answered a dial. A configured one is up then. If all of
// those were down, the bridge itself was slow or offline, and all of them get a new try.
func (ts *targets) reached(t *target) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	if !t.configured {
		return
	}
	allDown := !slices.ContainsFunc(ts.configured, func(own *types.NetAddress) bool { return !ts.records[own.ID].isDown() })
	for _, own := range ts.configured {
		r := ts.records[own.ID]
		if r.failures > 0 && (allDown || own.ID == t.addr.ID) {
			r.failures, r.troubled = 0, time.Time{}
		}
		if own.ID == t.addr.ID {
			r.reached = time.Now()
		}
		ts.records[own.ID] = r
	}
}

// appeared notes that a node has proved its ID to the bridge, which it found in the DHT or
// was dialed by. Failures count against an address: at a new one the node gets a new try.
// A configured one gets it at any, since it is up.
func (ts *targets) appeared(id types.ID, isNew, found bool) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	r, known := ts.records[id]
	own := ts.isConfigured(types.NetAddress{ID: id})
	if r.failures > 0 && (own || isNew) {
		r.failures, r.troubled = 0, time.Time{}
	}
	r.found = r.found || found && !own
	if known || r.found {
		ts.records[id] = r
	}
}

// count counts the targets for which the condition holds, as they concern the node.
func (ts *targets) count(node dialer, holds func(*target) bool) (n uint64) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	for _, t := range ts.all(node) {
		n += uint64(bit(holds(t)))
	}

	return n
}
