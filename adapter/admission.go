package adapter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/host"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// formerTimeout is how long a connection waits for the removal of the peer's
// former one, which takes as long as the Receive that runs. A handshake takes
// no longer than that either, so the remote does not give up before.
const formerTimeout = 3 * time.Second

// errReplaced is the reason given to the one of two crossed connections that
// does not stay.
var errReplaced = compat.Reject(compat.RejectDuplicate, "the connection dialed by the lower ID stays")

// candidate is a peer that asks to come in. The delegate is the node that speaks
// for it, if one does: that peer has the delegate's IP, and so is as free of the
// guard as the delegate is.
func (sw *MultiplexSwitch) candidate(id types.ID, outbound bool, remoteIP net.IP, delegate types.ID) candidate {
	exempt := sw.isExempt(id)

	return candidate{
		self:      sw.self(),
		id:        id,
		outbound:  outbound,
		host:      host.Of(remoteIP),
		exempt:    exempt,
		uncounted: sw.isUnconditional(id),
		guarded:   !outbound && !exempt && !sw.isExempt(delegate),
		dialed:    !outbound && sw.dials.courts(id),
	}
}

// isExempt reports whether the configuration names the peer as one to let in.
func (sw *MultiplexSwitch) isExempt(id types.ID) bool {
	return id != "" && (sw.isPersistent(id) || sw.isUnconditional(id))
}

func (sw *MultiplexSwitch) isUnconditional(id types.ID) bool {
	_, unconditional := sw.unconditional[id]

	return unconditional
}

// mayAdmitFrom tells, without blocking, whether an inbound connection from the
// IP could be admitted now, whoever is behind it. Those who are exempt may come
// from anywhere, and as delegates they may bring others. Whom this node is dialing
// need not be let in: its dial fails, and then ours is the one that stays.
func (sw *MultiplexSwitch) mayAdmitFrom(ip net.IP) error {
	exempt := make([]candidate, 0, len(sw.persistent)+len(sw.unconditional))
	for id := range sw.persistent {
		exempt = append(exempt, sw.candidate(id, false, ip, ""))
	}
	for id := range sw.unconditional {
		exempt = append(exempt, sw.candidate(id, false, ip, ""))
	}
	stranger := sw.candidate("", false, ip, "")
	stranger.guarded = len(exempt) == 0

	return sw.registry.mayAnybody(stranger, exempt)
}

// admit takes a verified connection in and runs it, or refuses and closes it.
func (sw *MultiplexSwitch) admit(ctx context.Context, conn compat.PeerConn) {
	c := newConnection(conn)
	if err := sw.reserve(ctx, c); err != nil {
		sw.refuse(conn, err)

		return
	}
	sw.admitReserved(c)
}

// admitReserved runs a connection that has its ID and slot.
func (sw *MultiplexSwitch) admitReserved(c *connection) {
	if err := sw.prepare(c); err != nil {
		sw.abandon(c, err)

		return
	}
	sw.introduce(c)
}

// reserve takes the peer's ID and a slot. It stops a connection that this one
// replaces, and waits for the removal of a former one.
func (sw *MultiplexSwitch) reserve(ctx context.Context, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, formerTimeout)
	defer cancel()

	who := sw.candidate(c.id, c.outbound, c.conn.RemoteIP(), delegateOf(c.conn))
	defer func() { sw.registry.giveBack(who) }() // nothing, once the slot is the connection's
	for {
		former, err := sw.registry.reserve(c, &who)
		if err != nil || former == nil {
			return err
		}
		// Stopped already, or replaced: the registry returns no other.
		sw.stop(former, errReplaced)
		c.doubt()
		select {
		case <-former.gone:
		case <-ctx.Done():
			if sw.ctx.Err() != nil {
				return errStopping
			}

			return compat.Reject(compat.RejectDuplicate, "the former connection is still being removed")
		}
	}
}

// delegateOf returns the node that speaks for the peer, or the empty ID.
func delegateOf(conn compat.PeerConn) types.ID {
	if d, ok := conn.(compat.DelegatedPeer); ok {
		if delegate, delegated := d.DelegatedBy(); delegated {
			return delegate
		}
	}

	return ""
}

// prepare initialises and starts the peer. After an error it does not run. A
// peer that is stopped while it starts is introduced all the same: its transport
// may have delivered messages.
func (sw *MultiplexSwitch) prepare(c *connection) error {
	c.conn.SetLogger(sw.Logger.With("peer", c.id))
	if err := sw.initPeer(c); err != nil {
		return err
	}
	c.since = time.Now()
	if err := c.peer.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if closed := c.markStarted(); closed {
		// Whoever closed it found it not started and left the rest to us.
		sw.halt(c)
		sw.release(c)
	}

	return nil
}

// initPeer calls InitPeer on the reactors until one fails, or stops the peer.
func (sw *MultiplexSwitch) initPeer(c *connection) error {
	c.peer = c.conn
	sw.track(c, c.conn)
	for _, r := range sw.reactors {
		var initErr error
		if err := sw.guard(c, r.name, "InitPeer", func() { initErr = sw.initWith(c, r) }); err != nil {
			return err
		}
		if initErr != nil {
			return initErr
		}
	}

	return nil
}

// initWith lets the reactor wrap the peer; by whichever wrapper a reactor names
// the peer later, the switch knows it.
func (sw *MultiplexSwitch) initWith(c *connection, r namedReactor) error {
	peer := r.InitPeer(c.peer)
	c.inits++
	if peer == nil {
		return fmt.Errorf("reactor %q returned no peer from InitPeer", r.name)
	}
	if peer != c.peer {
		sw.track(c, peer)
		c.peer = peer
	}

	return c.stopped()
}

// introduce makes a started peer known and drops the admission's reference. It
// runs in full even if the peer was stopped meanwhile: a peer that has started
// goes through its whole life.
func (sw *MultiplexSwitch) introduce(c *connection) {
	defer sw.release(c)
	sw.watch(c)
	sw.dials.forget(c.id) // before a reactor can ask for another dial
	if err := sw.peers.addConnection(c); err != nil {
		sw.stop(c, err)
	}
	for _, r := range sw.reactors {
		if err := sw.guard(c, r.name, "AddPeer", func() { r.AddPeer(c.peer) }); err != nil {
			sw.stop(c, err)
		}
	}
	sw.Logger.Info("peer connected", "peer", c.id, "address", c.conn.RemoteAddr(), "outbound", c.outbound)
	sw.events.Notify(events.PeerConnectedEvent{
		PeerID:   c.id,
		Address:  c.conn.RemoteAddr(),
		Outbound: c.outbound,
	})
}

// watch removes a peer whose Stop somebody calls without telling the switch.
func (sw *MultiplexSwitch) watch(c *connection) {
	sw.tasks.run(func() {
		select {
		case <-c.peer.Quit():
			sw.stop(c, errPeerStopped)
		case <-c.gone:
		}
	})
}

// abandon ends the admission of a peer that does not run. The reactors that have
// initialised it hear of its removal.
func (sw *MultiplexSwitch) abandon(c *connection, reason error) {
	if first, _ := c.shut(reason); !first {
		reason = c.stopped()
	}
	c.refusal = asRefusal(reason)
	sw.dismiss(c.conn, c.refusal)
	// Nobody else drops the reference of a connection that was never started; a
	// Receive may still hold one if the peer began to run before its Start failed.
	sw.release(c)
	sw.release(c)
}

// refuse closes a connection that no reactor has seen.
func (sw *MultiplexSwitch) refuse(conn compat.PeerConn, reason error) {
	reason = asRefusal(reason)
	sw.dismiss(conn, reason)
	sw.transport.Remove(conn)
	sw.reportRefusal(conn.ID(), conn.RemoteAddr(), conn.IsOutbound(), reason)
}

// asRefusal makes the reason a *compat.RejectError if it wraps none.
func asRefusal(reason error) error {
	var reject *compat.RejectError
	if errors.As(reason, &reject) {
		return reason
	}

	return fmt.Errorf("%w: %w", compat.Reject(compat.RejectUnspecified, ""), reason)
}

// dismiss closes a connection, with the reason where the stack can tell it.
func (sw *MultiplexSwitch) dismiss(conn compat.PeerConn, reason error) {
	if stopPeer(conn, conn, reason) != nil { // as it is for a peer that never ran
		sw.closeConn(conn)
	}
}

// reportRefusal tells the log and the subscribers.
func (sw *MultiplexSwitch) reportRefusal(id types.ID, addr net.Addr, outbound bool, reason error) {
	sw.Logger.Info("peer refused", "peer", id, "address", addr, "outbound", outbound, "err", reason)
	sw.doubtDuplicate(id, reason)
	sw.events.Notify(events.PeerRejectedEvent{PeerID: id, Address: addr, Reason: reason, Outbound: outbound})
}
