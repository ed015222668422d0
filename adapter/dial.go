package adapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// errNoSlot is why a dial was given up: others have filled the outbound slots.
var errNoSlot = errors.New("no outbound slot is free")

// DialPeers implements compat.Switch. Skipped are nil addresses, addresses
// without ID, this node, peers that are connected, persistent peers, which the
// switch dials at their configured address anyway, and everything while 1024
// addresses wait or, unless the peer is unconditional, no outbound slot is free.
// When the slots fill up, what waits is dropped and what is being dialed is given
// up, without an event.
//
// A peer is dialed at one address at a time. Of one that is queued or being dialed
// two further addresses are kept, and tried in turn when the former has failed.
//
// 16 addresses are dialed at a time; one that has not answered within 1/64 of the
// dial timeout lets the next begin. So every address is dialed within one
// timeout, however many before it are dead.
func (sw *MultiplexSwitch) DialPeers(peerAddrs ...*types.NetAddress) {
	if sw.ctx.Err() != nil {
		return
	}
	self, full := sw.self(), sw.registry.outboundFull()
	var noSlot, noPlace int
	for _, addr := range peerAddrs {
		if addr == nil || addr.ID == "" || addr.ID == self || sw.isPersistent(addr.ID) || sw.registry.has(addr.ID) {
			continue
		}
		exempt := sw.isUnconditional(addr.ID)
		switch {
		case full && !exempt:
			noSlot++
		case !sw.dials.hint(*addr, exempt):
			noPlace++
		}
	}
	if noSlot > 0 {
		sw.Logger.Debug("no outbound slot is free, not dialing", "addresses", noSlot)
	}
	if noPlace > 0 {
		sw.Logger.Warn("dial queue is full, addresses dropped", "dropped", noPlace)
	}
}

// dialLoop begins dials as they are due, each on a goroutine of its own, and asks
// a seed when there is nothing to dial.
func (sw *MultiplexSwitch) dialLoop(ctx context.Context) {
	seeds := newSeeder()
	timer := time.NewTimer(maxRedial)
	defer timer.Stop()
	for {
		sw.beginDials(ctx)
		due, ok := sw.dials.next()
		if seedDue, wanted := sw.askSeed(seeds); wanted {
			due, ok = earlier(due, ok, seedDue)
		}
		timer.Stop()
		if ok {
			// At least a nanosecond: what has become due meanwhile is no reason to
			// miss the end of the context.
			timer.Reset(max(time.Until(due), 1))
		}
		select {
		case <-ctx.Done():
			return
		case <-sw.dials.wake:
		case <-timer.C:
		}
	}
}

// beginDials begins what is due.
func (sw *MultiplexSwitch) beginDials(ctx context.Context) {
	for {
		// A dial that could only be refused in the end would cost the remote a slot
		// and a handshake.
		if sw.registry.outboundFull() {
			if dropped := sw.dials.giveUp(errNoSlot, sw.registry.has); dropped > 0 {
				sw.Logger.Debug("no outbound slot is free, addresses dropped", "dropped", dropped)
			}
		}
		t := sw.dials.take(ctx, time.Now())
		if t == nil {
			return
		}
		if begun := sw.tasks.Run(func() { sw.dial(ctx, t) }); !begun {
			sw.dials.done(t, false)
		}
	}
}

// dial makes one connection and admits it. The parent context is that of the
// switch. The dial has ended before anybody hears of it, so that whoever hears that
// it failed, or that the peer is gone, may dial again.
func (sw *MultiplexSwitch) dial(parent context.Context, t *dial) {
	c, err := sw.dialAndReserve(parent, t)
	sw.dials.done(t, c != nil)
	if c != nil {
		sw.admitReserved(c) // when it is lost, its removal redials it

		return
	}
	if err != nil {
		sw.reportFailure(parent, t, err)
	}
	// A connection that was lost before the dial had ended found the peer being
	// dialed, and one that is lost later queues it itself.
	if t.persistent && !sw.registry.has(t.addr.ID) {
		sw.redial(t.addr.ID, 0)
	}
}

// dialAndReserve returns a connection that has its ID and slot, or why the dial
// has failed, or neither when the connection was refused or is not needed.
func (sw *MultiplexSwitch) dialAndReserve(parent context.Context, t *dial) (*connection, error) {
	if sw.registry.has(t.addr.ID) {
		return nil, nil
	}
	conn, err := sw.connect(t)
	if err != nil {
		return nil, err
	}
	if conn.ID() != t.addr.ID {
		sw.refuse(conn, compat.Reject(compat.RejectIdentity, "dialed %s", t.addr.ID))

		return nil, nil
	}
	c := newConnection(conn)
	if err := sw.reserve(parent, c); err != nil {
		sw.refuse(conn, err)

		return nil, nil
	}

	return c, nil
}

// connect dials within the dial timeout. The error of a dial that took longer
// wraps context.DeadlineExceeded beside what the transport made of it.
func (sw *MultiplexSwitch) connect(t *dial) (compat.PeerConn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, sw.dialTimeout)
	defer cancel()
	conn, err := sw.transport.Dial(ctx, t.addr, sw.behavior)
	if err == nil && conn == nil {
		err = errNoPeer
	}
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	if err != nil && late && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w after %s: %w", context.DeadlineExceeded, sw.dialTimeout, err)
	}

	return conn, err
}

// reportFailure tells of a dial that failed, not of one that this switch ended.
func (sw *MultiplexSwitch) reportFailure(parent context.Context, t *dial, err error) {
	if parent.Err() != nil || errors.Is(context.Cause(t.ctx), errNoSlot) {
		sw.Logger.Debug("dial was given up", "peer", t.addr.ID, "address", t.addr.DialString(), "err", err)

		return
	}
	sw.Logger.Info("cannot dial peer", "peer", t.addr.ID, "address", t.addr.DialString(),
		"failure", compat.ClassifyDial(err), "err", err)
	sw.events.Notify(events.DialFailedEvent{Address: t.addr, Reason: err})
}
