package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// errNoSlot is the cause of a dial that is given up once the outbound slots are full.
var errNoSlot = errors.New("no outbound slot is free")

// DialPeers implements compat.Switch. It skips nil addresses, addresses without ID, this
// node, connected peers, and persistent peers, which the switch dials at their configured
// addresses. It drops an address while 1024 others wait, or while no outbound slot is
// free unless the peer is unconditional. When the slots fill up, waiting addresses are
// dropped and running dials are given up, without an event.
//
// A peer is dialed at one address at a time. Two further addresses of a peer that is
// queued or being dialed are kept, and tried in turn after that dial has failed.
//
// 16 addresses are dialed at a time. A dial that has not ended within 1/64 of the dial
// timeout lets the next one begin, so every address is dialed within one timeout, however
// many of those before it do not answer.
//
// While hints wait, those of the networks with the fewest outbound peers come first. Now and
// then one of another network takes the place of an outbound peer.
func (sw *MultiplexSwitch) DialPeers(peerAddrs ...*types.NetAddress) { sw.DialHints("", peerAddrs...) }

// DialHints implements compat.HintDialer.
func (sw *MultiplexSwitch) DialHints(source types.ID, peerAddrs ...*types.NetAddress) {
	if sw.ctx.Err() != nil || sw.conduct.Distrusts(source) {
		return
	}
	full := sw.registry.outboundFull()
	var noSlot, noPlace int
	for _, peerAddr := range peerAddrs {
		if peerAddr == nil || peerAddr.ID == "" {
			continue
		}
		addr := *peerAddr
		addr.ID = addr.ID.Canonical() // in another form it would be neither blocked nor connected
		if !sw.hintable(addr.ID) || sw.refuses(addr) {
			continue
		}
		t := &dial{addr: addr, source: source, exempt: sw.lists.unconditional[addr.ID]}
		if full && !t.exempt {
			t.tries = sw.mayTry(addr)
		}
		switch {
		case full && !t.exempt && !t.tries:
			noSlot++
		case !sw.dials.hint(t):
			noPlace++
		}
	}
	if noSlot > 0 {
		sw.Logger.Debug("no outbound slot is free, not dialing", "addresses", noSlot)
	}
	if noPlace > 0 {
		sw.refused.Event(slog.LevelWarn, netip.Addr{}, "dial queue is full, addresses dropped", "full", "dropped", noPlace)
	}
}

// hintable reports whether the peer may be dialed at an address that a hint or a seed
// gives: it is neither this node, connected, blocked, nor just hung up, and has no schedule of
// its own.
func (sw *MultiplexSwitch) hintable(id types.ID) bool {
	return id != sw.self() && !sw.lists.isPersistent(id) && !sw.lists.isBlocked(id) &&
		!sw.registry.has(id) && !sw.dials.rests(id)
}

// refuses reports whether a hint leads to a peer or host that is blocked or refused. It may lead
// to an IP that has a peer already: a peer behind a NAT is dialed at the IP of its relay.
func (sw *MultiplexSwitch) refuses(addr types.NetAddress) bool {
	ip := netgroup.FromIP(addr.IP)
	if sw.lists.isBlockedIP(ip) || sw.lists.isExempt(addr.ID) {
		return sw.lists.isBlockedIP(ip)
	}

	return sw.conduct.Refusal(addr.ID, sw.accountable(netgroup.Host(ip))) != nil
}

// dialLoop begins dials when they are due, each on a goroutine of its own, and dials a
// seed when there is nothing else to dial.
func (sw *MultiplexSwitch) dialLoop(ctx context.Context) {
	var seeds seeder
	timer := time.NewTimer(maxRedial)
	defer timer.Stop()
	for {
		sw.beginDials(ctx)
		due, ok := sw.dials.next()
		if seedDue, wanted := sw.askSeed(&seeds); wanted {
			due, ok = earlier(due, ok, seedDue)
		}
		timer.Stop()
		if ok {
			// At least a nanosecond, so that a dial that has just become due does not
			// hide the end of the context.
			timer.Reset(max(time.Until(due), 1))
		}
		select {
		case <-ctx.Done():
			return
		case <-sw.dials.wake.C():
		case <-timer.C:
		}
	}
}

// beginDials begins all dials that are due and have a place.
func (sw *MultiplexSwitch) beginDials(ctx context.Context) {
	for {
		// A dial that could only be refused in the end would cost the remote a slot
		// and a handshake.
		if sw.registry.outboundFull() {
			if dropped := sw.dials.giveUp(errNoSlot, sw.registry.has); dropped > 0 {
				sw.Logger.Debug("no outbound slot is free, addresses dropped", "dropped", dropped)
			}
		}
		t := sw.dials.take(ctx, sw.registry.outboundSpread)
		if t == nil {
			return
		}
		if begun := sw.tasks.Go(func() { sw.dial(ctx, t) }); !begun {
			sw.dials.done(t, false)
		}
	}
}

// dial makes one connection and admits it. The parent context is that of the switch. The
// dial counts as ended before its outcome is reported, so that a subscriber may dial the
// peer again at once.
func (sw *MultiplexSwitch) dial(parent context.Context, t *dial) {
	c, err := sw.dialAndReserve(parent, t)
	cause := context.Cause(t.ctx)
	sw.dials.done(t, c != nil)
	if c != nil {
		sw.admitReserved(c) // when it is lost, its removal redials it

		return
	}
	if err != nil {
		sw.reportFailure(parent, t, cause, err)
	}
	// While the dial ran nothing else could queue a redial, neither the loss of a
	// connection nor an operator who made the peer persistent.
	if !sw.registry.has(t.addr.ID) {
		uptime := time.Duration(0)
		if errors.Is(cause, errReconfigured) {
			uptime = stableUptime // the new address is dialed without a wait
		}
		sw.redial(t.addr.ID, uptime)
	}
}

// dialAndReserve returns a connection whose ID and slot are reserved, or why the dial
// failed, or neither when the connection was refused or is not needed.
func (sw *MultiplexSwitch) dialAndReserve(parent context.Context, t *dial) (*connection, error) {
	// An operator may have reconfigured the peer after it was queued.
	if sw.registry.has(t.addr.ID) || sw.lists.isBlocked(t.addr.ID) {
		return nil, nil
	}
	if t.persistent {
		addr, persistent := sw.lists.persistentAddr(t.addr.ID)
		if !persistent {
			return nil, nil
		}
		t.addr = addr
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
	c.source = t.source
	if err := sw.reserve(parent, c); err != nil {
		sw.restIfTaken(c.id, conn.RemoteIP())
		sw.refuse(conn, err)

		return nil, nil
	}

	return c, nil
}

// restIfTaken keeps a peer that was dialed and refused from being dialed for a while if another
// peer has its IP. Otherwise each hint would cost it a handshake.
func (sw *MultiplexSwitch) restIfTaken(id types.ID, ip net.IP) {
	if sw.registry.isTaken(netgroup.PublicHost(netgroup.FromIP(ip)), id) {
		sw.dials.rest(id)
	}
}

// connect dials within the dial timeout. After the timeout the error wraps
// context.DeadlineExceeded beside the transport's error.
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

// reportFailure reports a dial that failed, unless this switch gave it up.
func (sw *MultiplexSwitch) reportFailure(parent context.Context, t *dial, cause, err error) {
	if parent.Err() != nil || errors.Is(cause, errNoSlot) || errors.Is(cause, errReconfigured) {
		sw.Logger.Debug("dial was given up", "peer", t.addr.ID, "address", t.addr.DialString(), "err", err)

		return
	}
	failure := compat.ClassifyDial(err)
	args := []any{"peer", t.addr.ID, "address", t.addr.DialString(), "failure", failure, "err", err}
	if _, seed := sw.lists.seeds[t.addr.ID]; seed || t.persistent {
		sw.Logger.Info("cannot dial peer", args...)
	} else { // strangers can tell any number of dead addresses
		sw.refused.Event(slog.LevelInfo, netgroup.FromIP(t.addr.IP), "cannot dial peer", failure.String(), args...)
	}
	sw.blameSource(t, err)
	sw.events.Notify(events.DialFailedEvent{Address: t.addr, Reason: err})
}
