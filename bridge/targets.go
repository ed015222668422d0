package bridge

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
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
	inUse      *inUse         // its lock guards the records and debts
	records    map[types.ID]record
	debts      map[types.ID]debt // see charge and chargeEnd; nil: nodes cost nothing
	sessions   bool              // several pairs share a connection, and cost when they end
	making     *time.Duration    // how long it takes at most to make a pair; may be nil without sessions
	lost       func()            // called when a target that was found in the DHT becomes useless
	blocked    func(types.NetAddress) bool
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
	// stranger tells that the node is not configured, and that the journal does not know it.
	stranger bool
	known    bool // it is not configured either, but the journal knows it
}

// target is a node that may be dialed, as it concerns one dialer at one moment.
type target struct {
	record

	side       *targets
	addr       types.NetAddress
	configured bool
	due        bool   // it has answered at the address, or the book allows a dial there
	told       bool   // others have named it, and it has proved nothing
	source     string // the network that vouches for it; empty for private ones
	pairs      int    // that are up or being made
	joined     bool   // to the dialer by a pair, whichever of the two has dialed the bridge
	barred     error  // why the dialer gets no pair with it; nil if it may
}

// record is how attempts at a target, and pairs with it, have ended.
type record struct {
	failures int       // in a row: not reached, or, unless it was configured, at fault
	troubled time.Time // when it failed, declined or dropped a node, or a node left it; zero if the last went well
	heard    time.Time // when the last outcome was known, or it appeared: older dials that fail say nothing new
	picked   time.Time // when it was last dialed
	proven   bool      // it has kept a pair, and neither failed nor dropped one since
	found    bool      // in the DHT
	accepts  bool      // connections again, as the bridge has seen since it failed
}

// outcome is what an attempt, or a pair that has ended, shows about its target.
type outcome uint8

const (
	unknown       outcome = iota
	declined              // it answered, and did not want the node
	unreachable           // it could not be reached
	kept                  // it kept a pair
	faulty                // it answered, and kept no pair or would have refused any node
	dropped               // it was not configured, and ended the pair before conduct.UsefulUptime
	nodeLeftEarly         // the node ended the pair before minUptime
	nodeLeft              // the node ended the pair later
)

// troubledUntil returns when a target counts again like those that have not failed nor declined.
func (r record) troubledUntil() time.Time {
	return r.troubled.Add(failurePenalty << max(r.failures-1, 0))
}
func (r record) isTroubled() bool { return time.Now().Before(r.troubledUntil()) }
func (r record) isDown() bool     { return r.failures > 0 && r.isTroubled() }

// mayBeDown reports whether nothing shows that the target is up again since it has failed. When its
// penalty is over it is tried like any other all the same.
func (r record) mayBeDown() bool { return r.failures > 0 && !r.accepts }

// isUseful reports whether the target was found in the DHT and serves the bridge. One
// that declines nodes, and has never kept a pair, does not.
func (r record) isUseful() bool {
	return r.found && r.failures == 0 && (r.proven || r.troubled.IsZero())
}

// after returns the record after an outcome. Any node can make a configured target
// decline it, or end the pair, so only failed dials count against one. With another
// target nobody can tell which end was at fault, so these take turns. One that has ended a pair
// soon comes after those that keep theirs: else its few pairs would draw the next nodes to it.
func (r record) after(o outcome, configured bool) record {
	if o == unknown {
		return r
	}
	failed := o == unreachable || o == faulty && !configured
	fine := o == kept || configured && (o == nodeLeft || o == nodeLeftEarly)
	r.heard, r.troubled, r.accepts = time.Now(), time.Time{}, false
	if !fine {
		r.troubled = r.heard
	}
	r.proven = !failed && o != dropped && (r.proven || o == kept || o == nodeLeft)
	if failed {
		r.failures = min(r.failures+1, maxFailures)
	} else {
		r.failures = 0
	}

	return r
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
// whatever the book has dropped.
func (ts *targets) all(node dialer) []*target {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()

	return ts.list(node)
}

// list is all for a caller that holds the lock.
func (ts *targets) list(node dialer) (all []*target) {
	byID := make(map[types.ID]*target)
	add := func(t target) {
		if byID[t.addr.ID] == nil {
			t.side, t.record, t.pairs, t.joined, t.barred = ts, ts.records[t.addr.ID], 0, false, nil
			byID[t.addr.ID] = &t
			all = append(all, &t)
		}
	}
	for _, addr := range ts.configured {
		add(target{addr: *addr, configured: true})
	}
	if ts.book != nil {
		for _, e := range slices.DeleteFunc(ts.book.Entries(), func(e addrbook.Entry) bool { return ts.isConfigured(e.Addr) }) {
			due := e.HasAnswered() || len(ts.book.Dialable([]*types.NetAddress{&e.Addr})) > 0
			add(target{addr: e.Addr, source: e.SourceNetwork(), due: due, told: !e.HasAnswered() && !e.Announced()})
		}
	}
	for used := range ts.inUse.list {
		if used.side == ts {
			add(*used)
		}
	}
	for used, by := range ts.inUse.list {
		if used.side == ts {
			byID[used.addr.ID].count(by, node)
		} else if t := byID[by.id]; t != nil && used.addr.ID == node.id {
			t.joined = true // it has dialed the node
		}
	}
	for _, t := range all {
		switch {
		case t.addr.ID == node.id, ts.blocked(t.addr):
			t.barred = errNoTargets
		case t.barred == nil && ts.spares(t.addr.ID, node):
			t.barred = errSpared
		}
	}
	maps.DeleteFunc(ts.records, func(id types.ID, _ record) bool { return byID[id] == nil })
	maps.DeleteFunc(ts.debts, func(id types.ID, _ debt) bool { return byID[id] == nil })

	return all
}

// count adds a pair that another node, or the node itself by another identity, has with the target.
func (t *target) count(by, node dialer) {
	t.pairs++
	t.joined = t.joined || by.id == node.id
	switch {
	case by.id == node.id && by.at != node.at:
		t.barred = errNoFurther
	case by.host == node.host && by.host.IsValid():
		t.barred = cmp.Or(t.barred, errDuplicateIP)
	}
}

// release takes back what pick has returned, and notes what became of it. It reports whether that
// is news: the target may have been heard of since it was dialed in vain.
func (ts *targets) release(t *target, o outcome) (news bool) {
	ts.inUse.mtx.Lock()
	by := ts.inUse.list[t]
	delete(ts.inUse.list, t)
	ts.chargeEnd(t, by, o)
	before := ts.records[t.addr.ID]
	now := before.after(o, t.configured)
	if news = o != unreachable || !t.picked.Before(before.heard); !news {
		now = before
	}
	ts.records[t.addr.ID] = now
	ts.inUse.mtx.Unlock()
	if before.isUseful() && !now.isUseful() {
		ts.lost()
	}

	return news
}

// refund takes back what pick has charged, and has release charge nothing, since no connection to the
// target came about, or the target forgets it.
func (ts *targets) refund(t *target) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	by := ts.inUse.list[t]
	ts.charge(t, by, -1)
	by.stranger, by.known = false, false
	ts.inUse.list[t] = by
}

// lose lets other nodes of the host have the targets whose dials are not needed any more.
func (ts *targets) lose(tried []*target, winner *target) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	for _, t := range tried {
		if by, running := ts.inUse.list[t]; running && t != winner {
			by.host = netip.Prefix{}
			ts.inUse.list[t] = by
		}
	}
}

// appeared notes that a node is up: it has answered a dial, has dialed the bridge, or was found in
// the DHT. Failures count against an address: at a new one the node gets a new try, a configured
// one at any. If all configured ones were down, the bridge itself was slow or offline, and all of
// them get a new try.
func (ts *targets) appeared(id types.ID, isNew, found bool) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	own := ts.isConfigured(types.NetAddress{ID: id})
	up := func(addr *types.NetAddress) bool { return !ts.records[addr.ID].isDown() }
	var anew []*types.NetAddress
	switch {
	case own && !slices.ContainsFunc(ts.configured, up):
		anew = ts.configured
	case own || isNew:
		anew = []*types.NetAddress{{ID: id}}
	}
	if r, known := ts.records[id]; known && !found {
		r.heard = time.Now()
		ts.records[id] = r
	}
	for _, addr := range anew {
		r := ts.records[addr.ID]
		r.heard = time.Now()
		if r.failures > 0 {
			r.failures, r.troubled = 0, time.Time{}
		}
		ts.records[addr.ID] = r
	}
	if r := ts.records[id]; found && !own {
		r.found = true
		ts.records[id] = r
	}
}
