package adapter

import (
	"context"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// dialTimeout bounds one dial: 3 s, as in TM2, to reach the address, and as
	// much again for each of the two handshakes on a slow path, with a margin.
	dialTimeout = 10 * time.Second

	// maxDials is how many addresses from DialPeers are dialed at once. They are
	// hints from the network: a node must not be a tool to flood others with
	// connection attempts, and 16 still fill the outbound slots in one round.
	// Persistent peers are configured, few, and take none of these slots, so
	// that dead hints do not delay them.
	maxDials = 16

	// maxQueuedDials bounds the addresses from DialPeers that wait. Discovery
	// brings the ones that are dropped again.
	maxQueuedDials = 1000
)

// dialer holds what is to be dialed: hints, which are due at once and in order,
// and persistent peers, each due at its own time. A peer is in it once: queued
// or being dialed.
type dialer struct {
	wake chan struct{} // tells the dial loop that something has changed

	mtx      sync.Mutex
	hints    *dialQueue
	redials  *dialQueue
	dialing  map[types.ID]struct{}
	active   int               // hints being dialed
	failures map[types.ID]uint // redials since a persistent peer was last stable
}

func newDialer() *dialer {
	return &dialer{
		wake:     make(chan struct{}, 1),
		hints:    newDialQueue(),
		redials:  newDialQueue(),
		dialing:  make(map[types.ID]struct{}),
		failures: make(map[types.ID]uint),
	}
}

// dial is an address that is being dialed.
type dial struct {
	addr       types.NetAddress
	persistent bool
}

func (d *dialer) notify() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// hint queues an address. It reports false when the queue is full.
func (d *dialer) hint(addr types.NetAddress) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if _, dialing := d.dialing[addr.ID]; dialing || d.hints.has(addr.ID) {
		return true
	}
	if d.hints.len() >= maxQueuedDials {
		return false
	}
	d.hints.push(addr, time.Now())
	d.notify()

	return true
}

// take returns a dial whose time has come and counts it as begun.
func (d *dialer) take(now time.Time) (dial, bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	if addr, ok := d.redials.popDue(now); ok {
		d.dialing[addr.ID] = struct{}{}

		return dial{addr: addr, persistent: true}, true
	}
	if d.active == maxDials {
		return dial{}, false
	}
	addr, ok := d.hints.popDue(now)
	if !ok {
		return dial{}, false
	}
	d.dialing[addr.ID] = struct{}{}
	d.active++

	return dial{addr: addr}, true
}

// next is when the dial loop has to look again if nothing wakes it. Hints do not
// count: those that wait do so for a dial to end, which wakes it.
func (d *dialer) next() (due time.Time, ok bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.redials.next()
}

// done counts a dial as ended.
func (d *dialer) done(t dial) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	delete(d.dialing, t.addr.ID)
	if !t.persistent {
		d.active--
	}
	d.notify()
}

// forget drops what is queued for a peer that has connected.
func (d *dialer) forget(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.hints.remove(id)
	d.redials.remove(id)
}

// DialPeers implements compat.Switch. Skipped are nil addresses, addresses
// without ID, this node, peers that are connected, queued or being dialed,
// persistent peers, which the switch dials at their configured address anyway,
// and everything while no outbound slot is free or 1000 addresses wait.
func (sw *MultiplexSwitch) DialPeers(peerAddrs ...*types.NetAddress) {
	if sw.ctx.Err() != nil {
		return
	}
	if sw.registry.outboundFull() {
		sw.Logger.Debug("no outbound slot is free, not dialing", "addresses", len(peerAddrs))

		return
	}
	self, dropped := sw.self(), 0
	for _, addr := range peerAddrs {
		if addr == nil || addr.ID == "" || addr.ID == self || sw.isPersistent(addr.ID) || sw.registry.has(addr.ID) {
			continue
		}
		if !sw.dials.hint(*addr) {
			dropped++
		}
	}
	if dropped > 0 {
		sw.Logger.Warn("dial queue is full, addresses dropped", "dropped", dropped)
	}
}

// dialLoop begins dials as they are due, each on a goroutine of its own.
func (sw *MultiplexSwitch) dialLoop(ctx context.Context) {
	timer := time.NewTimer(maxRedial)
	defer timer.Stop()
	for {
		for t, ok := sw.dials.take(time.Now()); ok; t, ok = sw.dials.take(time.Now()) {
			sw.beginDial(ctx, t)
		}
		timer.Stop()
		if due, ok := sw.dials.next(); ok {
			timer.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return
		case <-sw.dials.wake:
		case <-timer.C:
		}
	}
}

func (sw *MultiplexSwitch) beginDial(ctx context.Context, t dial) {
	begun := sw.tasks.run(func() {
		sw.dial(ctx, t)
		sw.endDial(t)
	})
	if !begun {
		sw.dials.done(t)
	}
}

// endDial sees to it that a persistent peer that is not connected is dialed
// again. It looks only after the dial is counted as ended: a connection that is
// lost before that found the peer being dialed, and one that is lost later
// queues it itself.
func (sw *MultiplexSwitch) endDial(t dial) {
	sw.dials.done(t)
	if t.persistent && !sw.registry.has(t.addr.ID) {
		sw.redial(t.addr.ID, 0)
	}
}

// dial makes one connection and admits it.
func (sw *MultiplexSwitch) dial(ctx context.Context, t dial) {
	if sw.registry.has(t.addr.ID) {
		return
	}
	if !t.persistent && sw.registry.outboundFull() {
		sw.Logger.Debug("no outbound slot is free, not dialing", "peer", t.addr.ID)

		return
	}
	conn, err := sw.connect(ctx, t.addr)
	if err != nil {
		sw.Logger.Info("cannot dial peer", "peer", t.addr.ID, "address", t.addr.DialString(), "err", err)
		sw.events.Notify(events.DialFailedEvent{Address: t.addr, Reason: err})

		return
	}
	if conn.ID() != t.addr.ID {
		sw.refuse(conn, compat.Reject(compat.RejectIdentity, "dialed %s", t.addr.ID))

		return
	}
	sw.admit(ctx, conn)
}

func (sw *MultiplexSwitch) connect(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := sw.transport.Dial(ctx, addr, sw.behavior)
	if err == nil && conn == nil {
		err = errNoPeer
	}

	return conn, err
}
