package adapter

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// maxDials is how many hints are dialed at once while they answer quickly. Hints come
	// from the network, and must not turn a node into a tool that floods others with
	// connection attempts. 16 still fill the outbound slots in one round.
	maxDials = 16

	// A dial is young for 1/youngShare of the dial timeout, and only young dials hold one
	// of the maxDials places. Older dials run on while others begin, as in RFC 8305, so
	// that addresses which do not answer cannot hold all places. At most youngShare times
	// maxDials hints wait, so each begins within one dial timeout.
	youngShare = 64

	// maxQueuedDials bounds the hints that wait, and separately those being dialed, each of
	// which has a socket. Discovery offers dropped hints again.
	maxQueuedDials = maxDials * youngShare

	// maxOtherAddrs is how many further addresses of a peer wait while one is queued or
	// dialed. A wrong address from one source must not displace the right one.
	maxOtherAddrs = 2
)

// dial is an address that waits to be dialed or is being dialed.
type dial struct {
	addr       types.NetAddress
	source     types.ID  // who told the address; empty if nobody answers for it
	tries      bool      // may take the place of an outbound peer; see spread.go
	persistent bool      // not a hint: takes no place and is never given up
	exempt     bool      // from the outbound limit
	due        time.Time // while it is queued

	// Set when it begins.
	begun  time.Time
	ctx    context.Context // ends with the dial, or when it is given up
	cancel context.CancelCauseFunc
}

// host returns the host that the dial leads to. It is not valid for a host name that has not
// been resolved.
func (t *dial) host() netip.Prefix { return netgroup.Host(netgroup.FromIP(t.addr.IP)) }

// endedDial is a dial, or a connection that this node dialed, that has ended.
type endedDial struct {
	host netip.Prefix
	at   time.Time
}

// dialer holds the addresses to dial: hints, which are due at once and in order, and
// persistent peers, each of which is due at a time of its own. A peer is queued or being
// dialed at one address; its further addresses wait until that dial has failed.
type dialer struct {
	wake     task.Signal   // wakes the dial loop after a change
	youngFor time.Duration // not changed once the switch is built
	turn     turn

	mtx      sync.Mutex
	hints    *dialQueue
	others   map[types.ID][]*dial // further addresses of peers in hints or dialing
	redials  *dialQueue
	dialing  map[types.ID]*dial
	young    []*dial                // young dials of hints, the oldest first
	active   int                    // hints being dialed, young or not
	running  spread                 // of these
	progress time.Time              // when a hint last brought a peer, or the first was queued
	failures map[types.ID]uint      // redials since a persistent peer was last stable
	ended    map[types.ID]endedDial // dials and outbound connections, for formerTimeout
	hungUp   map[types.ID]time.Time // peers, in seed mode
}

func newDialer() *dialer {
	return &dialer{
		wake:     task.NewSignal(),
		youngFor: DefaultDialTimeout / youngShare,
		hints:    newDialQueue(),
		running:  newSpread(),
		others:   make(map[types.ID][]*dial),
		redials:  newDialQueue(),
		dialing:  make(map[types.ID]*dial),
		failures: make(map[types.ID]uint),
		ended:    make(map[types.ID]endedDial),
		hungUp:   make(map[types.ID]time.Time),
	}
}

// hint queues an address. It reports false when the queue is full. A peer that has become
// persistent has a schedule and an address of its own.
func (d *dialer) hint(t *dial) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if d.redials.has(t.addr.ID) {
		return true
	}
	if former := d.current(t.addr.ID); former != nil {
		d.addOther(former, t)

		return true
	}
	if d.hints.len() >= maxQueuedDials {
		return false
	}
	d.push(t, time.Now())

	return true
}

// hintFirst queues an address before all hints.
func (d *dialer) hintFirst(addr types.NetAddress, exempt bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if d.current(addr.ID) == nil {
		d.push(&dial{addr: addr, exempt: exempt}, time.Time{})
	}
}

// push queues a hint. The caller holds the lock.
func (d *dialer) push(t *dial, due time.Time) {
	if !d.busy() {
		d.progress = time.Now()
	}
	d.hints.push(t, due)
	d.wake.Set()
}

// busy reports whether hints wait or are being dialed. The caller holds the lock.
func (d *dialer) busy() bool { return d.hints.len() > 0 || d.active > 0 }

// current returns the dial of a peer that runs or waits as a hint, or nil. The caller
// holds the lock.
func (d *dialer) current(id types.ID) *dial {
	if t := d.dialing[id]; t != nil {
		return t
	}

	return d.hints.byID[id]
}

// addOther keeps a further address of a peer, up to maxOtherAddrs. The caller holds the
// lock.
func (d *dialer) addOther(former, t *dial) {
	known := d.others[t.addr.ID]
	same := func(other *dial) bool { return other.addr.DialString() == t.addr.DialString() }
	if former.persistent || len(known) >= maxOtherAddrs || same(former) || slices.ContainsFunc(known, same) {
		return
	}
	d.others[t.addr.ID] = append(known, t)
}

// nextOther queues the next address of a peer whose dial has failed. The caller
// holds the lock.
func (d *dialer) nextOther(id types.ID) {
	known := d.others[id]
	delete(d.others, id)
	if len(known) == 0 || d.hints.len() >= maxQueuedDials {
		return
	}
	d.push(known[0], time.Now())
	if len(known) > 1 {
		d.others[id] = known[1:]
	}
}

// take begins a dial that is due and returns it, or nil. The context of the dial is a
// child of ctx; done releases it. outbound counts the peers in the outbound slots. It is
// called with the lock held, so that a dial that becomes a peer meanwhile is counted.
func (d *dialer) take(ctx context.Context, outbound func() spread) *dial {
	now := time.Now()
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t := d.redials.popDue(now)
	if t == nil {
		t = d.takeHint(now, outbound)
	}
	if t == nil {
		return nil
	}
	t.begun = now
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	d.dialing[t.addr.ID] = t

	return t
}

// takeHint returns a hint if a place is free. The caller holds the lock.
func (d *dialer) takeHint(now time.Time, outbound func() spread) *dial {
	d.young = slices.DeleteFunc(d.young, func(t *dial) bool { return now.Sub(t.begun) >= d.youngFor })
	if len(d.young) >= maxDials || d.active >= maxQueuedDials || d.hints.len() == 0 {
		return nil
	}
	peers := outbound()
	t := d.hints.popLeast(now, func(t *dial) int { return peers.crowd(t) + d.running.crowd(t) }, peers.quota)
	if t != nil {
		d.running.add(t.host(), t.source, 1)
		d.young = append(d.young, t)
		d.active++
	}

	return t
}

// next returns when the dial loop has to look again if nothing wakes it: when a
// persistent peer is due, or when the oldest young dial gives its place to a hint that
// waits, or when a hint has waited for hints of other networks and sources.
func (d *dialer) next() (due time.Time, ok bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	due, ok = d.redials.next()
	if d.hints.len() == 0 || d.active >= maxQueuedDials {
		return due, ok
	}
	if len(d.young) < maxDials { // else the first hint would not be there
		return earlier(due, ok, d.hints.dials[0].due.Add(crowdWait))
	}

	return earlier(due, ok, d.young[0].begun.Add(d.youngFor))
}

// earlier returns the earlier of a, which counts only if ok is set, and b.
func earlier(a time.Time, ok bool, b time.Time) (time.Time, bool) {
	if ok && a.Before(b) {
		return a, true
	}

	return b, true
}

// done counts a dial as ended. If the peer did not connect, its next address is queued.
func (d *dialer) done(t *dial, connected bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t.cancel(nil)
	delete(d.dialing, t.addr.ID)
	d.noteEnd(t.addr.ID, t.host())
	if !t.persistent {
		if connected {
			delete(d.others, t.addr.ID)
			d.progress = time.Now()
		} else {
			d.nextOther(t.addr.ID)
		}
		d.young = slices.DeleteFunc(d.young, func(other *dial) bool { return other == t })
		d.active--
		d.running.add(t.host(), t.source, -1)
	}
	d.wake.Set()
}

// lose notes that an outbound connection with the host has ended.
func (d *dialer) lose(id types.ID, host netip.Prefix) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.noteEnd(id, host)
}

// noteEnd notes that a dial or its connection has ended. When two connections cross, the
// remote may end the dialed one before this node has admitted the other, which still
// crosses it for formerTimeout. The caller holds the lock.
func (d *dialer) noteEnd(id types.ID, host netip.Prefix) {
	now := time.Now()
	maps.DeleteFunc(d.ended, func(_ types.ID, e endedDial) bool { return now.Sub(e.at) > formerTimeout })
	d.ended[id] = endedDial{host: host, at: now}
}

// crosses reports whether a connection from the host may have crossed a dial of the peer: one
// that leads to this host and is running, or ended less than formerTimeout ago. A dial to
// another host does not count, nor one that only waits. Any peer that tells an address can
// make this node queue a dial of any ID. Persistent peers need no exemption.
func (d *dialer) crosses(id types.ID, host netip.Prefix) bool {
	if !host.IsValid() {
		return false
	}
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if t := d.dialing[id]; t != nil && !t.persistent && t.host() == host {
		return true
	}
	e, ended := d.ended[id]

	return ended && e.host == host && time.Since(e.at) <= formerTimeout
}

// tries reports whether the peer is being dialed to take the place of an outbound peer.
func (d *dialer) tries(id types.ID) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t := d.dialing[id]

	return t != nil && t.tries
}

// lastProgress returns when a hint last brought a peer, or when the first of those now
// waiting was queued; busy is false when there are no hints.
func (d *dialer) lastProgress() (since time.Time, busy bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.progress, d.busy()
}

// giveUp drops the hints that the outbound limit applies to, and cancels those being
// dialed. It spares the dial of a connected peer: the two connections cross, and the
// remote may have decided to keep the dialed one.
func (d *dialer) giveUp(cause error, in func(types.ID) bool) (dropped int) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	for id, t := range d.dialing {
		if !t.persistent && !t.exempt && !t.tries && !in(id) {
			t.cancel(cause)
		}
	}

	maps.DeleteFunc(d.others, func(_ types.ID, known []*dial) bool { return !known[0].exempt })

	return d.hints.removeFunc(func(t *dial) bool { return !t.exempt && !t.tries })
}

// forget drops the queued addresses of a peer that has connected.
func (d *dialer) forget(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.drop(id)
}

// drop drops the queued addresses of a peer. The caller holds the lock.
func (d *dialer) drop(id types.ID) {
	d.hints.remove(id)
	delete(d.others, id)
	d.redials.remove(id)
}
