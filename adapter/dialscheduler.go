package adapter

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// maxDials is how many hints are dialed at once as long as they answer. They
	// come from the network: a node must not be a tool to flood others with
	// connection attempts, and 16 still fill the outbound slots in one round.
	maxDials = 16

	// youngShare is the part of the dial timeout for which a dial counts as young.
	// Addresses that do not answer would otherwise hold all places for whole
	// timeouts; so, as in RFC 8305, a dial that takes long runs on while others
	// begin. A black hole thus costs those behind it 1/64 of a place for a timeout,
	// and every hint begins within one timeout of being queued: 64 times 16 is what
	// may wait.
	youngShare = 64

	// maxQueuedDials bounds the hints that wait, and, once more, those being dialed, each
	// with a socket. Discovery brings the ones that are dropped again.
	maxQueuedDials = maxDials * youngShare

	// maxOtherAddrs is how many addresses of a peer wait beside the one that is
	// queued or dialed. Anybody may name a peer where it is not; that must not keep
	// it from being dialed where it is.
	maxOtherAddrs = 2
)

// dial is an address to dial, or that is being dialed.
type dial struct {
	addr       types.NetAddress
	persistent bool // no hint; takes no place and is never given up
	exempt     bool // from the outbound limit

	// Set when it begins.
	begun  time.Time
	ctx    context.Context // ends with the dial, or when it is given up
	cancel context.CancelCauseFunc
}

// dialer holds what is to be dialed: hints, which are due at once and in order,
// and persistent peers, each due at its own time. A peer is in it once: queued
// or being dialed. What else is said of where it is waits for that to fail.
type dialer struct {
	wake     task.Signal   // tells the dial loop that something has changed
	youngFor time.Duration // not changed once the switch is built

	mtx      sync.Mutex
	hints    *dialQueue
	others   map[types.ID][]*dial // further addresses of peers in hints or dialing
	redials  *dialQueue
	dialing  map[types.ID]*dial
	young    []*dial                // the hints that have just begun, the oldest first
	active   int                    // hints being dialed, young or not
	vain     time.Time              // since when hints have brought no peer, if there are any
	failures map[types.ID]uint      // redials since a persistent peer was last stable
	ended    map[types.ID]time.Time // dials and outbound connections, for formerTimeout
}

func newDialer() *dialer {
	return &dialer{
		wake:     task.NewSignal(),
		youngFor: DefaultDialTimeout / youngShare,
		hints:    newDialQueue(),
		others:   make(map[types.ID][]*dial),
		redials:  newDialQueue(),
		dialing:  make(map[types.ID]*dial),
		failures: make(map[types.ID]uint),
		ended:    make(map[types.ID]time.Time),
	}
}

// hint queues an address. It reports false when the queue is full.
func (d *dialer) hint(addr types.NetAddress, exempt bool) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t := &dial{addr: addr, exempt: exempt}
	if former := d.current(addr.ID); former != nil {
		d.addOther(former, t)

		return true
	}
	if d.hints.len() >= maxQueuedDials {
		return false
	}
	d.push(t, time.Now())

	return true
}

// urge queues an address before all hints, however many wait.
func (d *dialer) urge(addr types.NetAddress, exempt bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if d.current(addr.ID) == nil {
		d.push(&dial{addr: addr, exempt: exempt}, time.Time{})
	}
}

// push queues a hint. The caller holds the lock.
func (d *dialer) push(t *dial, due time.Time) {
	if !d.busy() {
		d.vain = time.Now()
	}
	d.hints.push(t, due)
	d.wake.Set()
}

// busy reports whether hints wait or are being dialed. The caller holds the lock.
func (d *dialer) busy() bool { return d.hints.len() > 0 || d.active > 0 }

// current is the dial of a peer that runs, or waits as a hint, or nil. The caller
// holds the lock.
func (d *dialer) current(id types.ID) *dial {
	if t := d.dialing[id]; t != nil {
		return t
	}

	return d.hints.get(id)
}

// addOther keeps a further address of a peer, unless enough is said already of
// where it is. The caller holds the lock.
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

// take returns a dial whose time has come and counts it as begun. Its context is
// a child of ctx; done releases it.
func (d *dialer) take(ctx context.Context, now time.Time) *dial {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t := d.redials.popDue(now)
	if t == nil {
		t = d.takeHint(now)
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
func (d *dialer) takeHint(now time.Time) *dial {
	d.young = slices.DeleteFunc(d.young, func(t *dial) bool { return now.Sub(t.begun) >= d.youngFor })
	if len(d.young) >= maxDials || d.active >= maxQueuedDials {
		return nil
	}
	t := d.hints.popDue(now)
	if t != nil {
		d.young = append(d.young, t)
		d.active++
	}

	return t
}

// next is when the dial loop has to look again if nothing wakes it: when a
// persistent peer is due, or when a hint that waits gets the place of a dial that
// is young no longer.
func (d *dialer) next() (due time.Time, ok bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	due, ok = d.redials.next()
	if d.hints.len() == 0 || len(d.young) < maxDials || d.active >= maxQueuedDials {
		return due, ok
	}

	return earlier(due, ok, d.young[0].begun.Add(d.youngFor))
}

// earlier is the first of a time that may not be set and one that is.
func earlier(a time.Time, ok bool, b time.Time) (time.Time, bool) {
	if ok && a.Before(b) {
		return a, true
	}

	return b, true
}

// done counts a dial as ended. Unless it has brought a peer, the next address of
// that peer is queued.
func (d *dialer) done(t *dial, connected bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	t.cancel(nil)
	delete(d.dialing, t.addr.ID)
	d.noteEnd(t.addr.ID)
	if !t.persistent {
		if connected {
			delete(d.others, t.addr.ID)
			d.vain = time.Now()
		} else {
			d.nextOther(t.addr.ID)
		}
		d.young = slices.DeleteFunc(d.young, func(other *dial) bool { return other == t })
		d.active--
	}
	d.wake.Set()
}

// lose notes that an outbound connection has ended.
func (d *dialer) lose(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.noteEnd(id)
}

// noteEnd notes that a dial, or its connection, has ended. Of two connections that
// cross, the remote may end the one that we dial before the one that stays has come
// through here. The caller holds the lock.
func (d *dialer) noteEnd(id types.ID) {
	now := time.Now()
	maps.DeleteFunc(d.ended, func(_ types.ID, at time.Time) bool { return now.Sub(at) > formerTimeout })
	d.ended[id] = now
}

// courts reports whether the peer is to be dialed, or was until just now: then its
// own dial may cross ours.
func (d *dialer) courts(id types.ID) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	at, ended := d.ended[id]

	return d.dialing[id] != nil || d.hints.has(id) || (ended && time.Since(at) <= formerTimeout)
}

// vainSince is since when hints wait or are dialed without a new peer; busy is
// false when there are none.
func (d *dialer) vainSince() (since time.Time, busy bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.vain, d.busy()
}

// giveUp drops the hints that the outbound limit holds for, and ends the dials of
// those that have begun. Spared are dials of peers that are in: such a dial is one
// of two that cross, and the remote may have decided for it.
func (d *dialer) giveUp(cause error, in func(types.ID) bool) (dropped int) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	for id, t := range d.dialing {
		if !t.persistent && !t.exempt && !in(id) {
			t.cancel(cause)
		}
	}

	maps.DeleteFunc(d.others, func(_ types.ID, known []*dial) bool { return !known[0].exempt })

	return d.hints.removeFunc(func(t *dial) bool { return !t.exempt })
}

// forget drops what is queued for a peer that has connected.
func (d *dialer) forget(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.hints.remove(id)
	delete(d.others, id)
	d.redials.remove(id)
}
