package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// formerTimeout bounds how long a new connection waits for the removal of the peer's
// former one, which takes as long as a running Receive. It is no longer than a remote
// waits for a handshake.
const formerTimeout = 3 * time.Second

// So many lines about sessions of strangers are written at once, and one for each interval after that,
// before they are summed up: about all that a node has peers for when it starts.
const (
	sessionLines         = 64
	sessionLinesInterval = 10 * time.Second
)

// errReplaced is the reason for closing one of two crossed connections.
var errReplaced = compat.Reject(compat.RejectDuplicate, "the connection dialed by the lower ID stays")

// admit runs a verified connection as a peer, or refuses and closes it.
func (sw *MultiplexSwitch) admit(ctx context.Context, conn compat.PeerConn) {
	c := newConnection(conn)
	if err := sw.reserve(ctx, c); err != nil {
		sw.refuse(conn, err)

		return
	}
	sw.admitReserved(c)
}

// admitReserved runs a connection whose ID and slot are reserved.
func (sw *MultiplexSwitch) admitReserved(c *connection) {
	if err := sw.prepare(c); err != nil {
		sw.abandon(c, err)

		return
	}
	sw.introduce(c)
}

// reserve takes the peer's ID and a slot. It stops the connection that this one
// replaces, if any, and waits until the former connection is removed.
func (sw *MultiplexSwitch) reserve(ctx context.Context, c *connection) error {
	who := sw.candidate(c.id, c.outbound, c.conn.RemoteIP(), compat.Delegate(c.conn))
	who.presentedAt(compat.SeenAt(c.conn), sw.lists)
	defer func() { sw.registry.endReserve(who) }()
	former, err := sw.registry.reserve(c, &who)
	if errors.Is(err, errConnected) && sw.awaitGhost(ctx, c.id) {
		former, err = sw.registry.reserve(c, &who)
	}
	ctx, cancel := context.WithTimeout(ctx, formerTimeout)
	defer cancel()
	for ; err == nil && former != nil; former, err = sw.registry.reserve(c, &who) {
		// The registry returns only a connection that is stopped already, is replaced, or
		// gives way to another peer.
		if former.id == c.id {
			sw.stop(former, errReplaced)
			c.probeAlive()
		} else {
			sw.stop(former, errEvicted)
		}
		select {
		case <-former.gone:
		case <-ctx.Done():
			if sw.ctx.Err() != nil {
				return errStopping
			}

			if former.id != c.id {
				return compat.Reject(compat.RejectFull, "the peer that it takes the place of is still being removed")
			}

			return compat.Reject(compat.RejectDuplicate, "the connection that it takes the place of is still being removed")
		}
	}
	if err != nil && who.evicts {
		sw.flapped(who.networks()[0], err)
	}

	return err
}

// prepare initialises and starts the peer. After an error the peer does not run. A peer
// that is stopped while it starts is introduced all the same, since its transport may
// have delivered messages already.
func (sw *MultiplexSwitch) prepare(c *connection) error {
	c.conn.SetLogger(sw.Logger.With("peer", c.id))
	if err := sw.initPeer(c); err != nil {
		return err
	}
	if err := c.peer.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if closed := c.markStarted(); closed {
		// The call that closed it found it not started and left stopping to this one.
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
		if err := sw.call(c, r.name, "InitPeer", func() { initErr = sw.initWith(c, r) }); err != nil {
			return err
		}
		if initErr != nil {
			return initErr
		}
	}

	return nil
}

// initWith lets the reactor wrap the peer. The switch tracks every wrapper, since a
// reactor may name the peer by any of them later.
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

// introduce adds a started peer to the set, tells the reactors and subscribers, and
// drops the admission's reference. It runs in full even if the peer was stopped
// meanwhile, so that each RemovePeer has its AddPeer.
func (sw *MultiplexSwitch) introduce(c *connection) {
	defer sw.release(c)
	sw.tasks.Go(func() { sw.watch(c) })
	sw.dials.forget(c.id) // before a reactor can ask for another dial
	if err := sw.peers.addConnection(c); err != nil {
		sw.stop(c, err)
	}
	for _, r := range sw.reactors {
		if err := sw.call(c, r.name, "AddPeer", func() { r.AddPeer(c.peer) }); err != nil {
			sw.stop(c, err)
		}
	}
	stack, addr := stackOf(c.conn), c.conn.RemoteAddr()
	args := []any{"outbound", c.outbound, "stack", stack}
	if bridge := compat.TunneledBy(c.conn); bridge != "" {
		args = append(args, "tunnel", bridge)
	}
	sw.logSession(c, 0, "peer connected", args...)
	sw.events.Notify(events.PeerConnectedEvent{PeerID: c.id, Address: addr, Outbound: c.outbound, Stack: stack})
}

// abandon ends the admission of a peer that does not run. The reactors whose InitPeer
// has returned get a RemovePeer.
func (sw *MultiplexSwitch) abandon(c *connection, reason error) {
	if first, _ := c.shut(reason); !first {
		reason = c.stopped()
	}
	c.refusal = asRefusal(reason)
	sw.dismiss(c.conn, c.refusal)
	// Both references of a connection that was never started are dropped here. A Receive
	// may still hold another if the peer began to run before its Start failed.
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

// dismiss closes a connection and tells the remote the reason if the stack can.
func (sw *MultiplexSwitch) dismiss(conn compat.PeerConn, reason error) {
	if stopPeer(conn, conn, reason) != nil { // a peer that never ran cannot be stopped
		sw.closeConn(conn)
	}
}

// reportRefusal tells the log, which sums up what strangers can cause without end, and the
// subscribers. A remote may give any of 256 codes, which are one reason in the sums.
func (sw *MultiplexSwitch) reportRefusal(id types.ID, addr net.Addr, outbound bool, reason error) {
	kind := compat.RejectUnspecified.String()
	if reject, ok := errors.AsType[*compat.RejectError](reason); ok && reject.Remote {
		kind = "by the remote"
	} else if ok {
		kind = reject.Code.String()
	}
	sw.refused.Event(slog.LevelInfo, netgroup.FromAddr(addr), "peer refused", kind,
		"peer", id, "address", addr, "outbound", outbound, "err", reason)
	sw.probeDuplicate(id, reason)
	sw.events.Notify(events.PeerRejectedEvent{PeerID: id, Address: addr, Reason: reason, Outbound: outbound})
}

// lookup returns the connection of a peer, or nil.
func (sw *MultiplexSwitch) lookup(peer compat.PeerConn) *connection {
	c, _ := sw.conns.Load(peer)
	found, _ := c.(*connection)

	return found
}

// stop closes the gate, stops the peer and drops the reference for being open. Only the
// first call for a connection has an effect.
func (sw *MultiplexSwitch) stop(c *connection, reason error) {
	first, started := c.shut(reason)
	if !first {
		return
	}
	sw.logSession(c, c.uptime(), "stopping peer", "err", reason)
	if !started {
		return // the admission owns the peer until it runs, and stops it then
	}
	sw.halt(c)
	sw.release(c)
}

// logSession logs the begin or the end of a session. Strangers of many hosts may come and leave
// without end, so beyond a number of lines those of short sessions are summed up.
func (sw *MultiplexSwitch) logSession(c *connection, uptime time.Duration, msg string, args ...any) {
	addr := c.conn.RemoteAddr()
	args = append([]any{"peer", c.id, "address", addr}, args...)
	if uptime >= usefulUptime || sw.lists.isExempt(c.id) || sw.lines.Allow() {
		sw.Logger.Info(msg, args...)

		return
	}
	sw.sessions.Event(slog.LevelInfo, netgroup.FromAddr(addr), msg, "session", args...)
}

// halt stops the peer itself, and tells the remote why if the stack can.
func (sw *MultiplexSwitch) halt(c *connection) {
	err := stopPeer(c.peer, c.conn, c.stopReason())
	if err != nil && !errors.Is(err, service.ErrAlreadyStopped) {
		sw.Logger.Warn("peer did not stop cleanly", "peer", c.id, "address", c.conn.RemoteAddr(), "err", err)
		sw.closeConn(c.conn)
	}
}

// stopPeer stops the peer and tells the remote the reason if the stack can. The peer may
// be a reactor's wrapper that does not take a reason; its Stop runs too.
func stopPeer(peer, conn compat.PeerConn, reason error) error {
	s, ok := peer.(compat.ReasonStopper)
	if ok && reason != nil {
		return s.StopForReason(reason)
	}
	if s, ok = conn.(compat.ReasonStopper); !ok || reason == nil {
		return peer.Stop()
	}
	err := s.StopForReason(reason)
	if wrapperErr := peer.Stop(); !errors.Is(wrapperErr, service.ErrAlreadyStopped) {
		err = errors.Join(err, wrapperErr)
	}

	return err
}

func (sw *MultiplexSwitch) closeConn(conn compat.PeerConn) {
	if err := conn.CloseConn(); err != nil {
		sw.Logger.Debug("cannot close connection", "peer", conn.ID(), "address", conn.RemoteAddr(), "err", err)
	}
}

// release drops a reference and removes the connection if it was the last.
func (sw *MultiplexSwitch) release(c *connection) {
	if c.leave() {
		sw.remove(c)
	}
}

// remove undoes the admission. It runs once, when no callback of the connection runs any
// more. The slot is free before the event, since a subscriber may dial another peer at
// once. The ID is free only after it, so that the events of a reconnect follow.
func (sw *MultiplexSwitch) remove(c *connection) {
	reason := c.stopReason()
	if c.refusal != nil {
		reason = c.refusal
	}
	for _, r := range sw.reactors[:c.inits] {
		sw.call(c, r.name, "RemovePeer", func() { r.RemovePeer(c.peer, reason) })
	}
	sw.peers.removeConnection(c)
	for _, h := range c.handles {
		sw.conns.Delete(h)
	}
	sw.transport.Remove(c.conn)
	if c.outbound {
		sw.dials.lose(c.id, hostOf(c.conn))
	}
	sw.registry.vacate(c)
	var uptime time.Duration
	if c.refusal != nil {
		sw.judgeEnd(c, reason, 0)
		sw.reportRefusal(c.id, c.conn.RemoteAddr(), c.outbound, reason)
	} else {
		uptime = time.Since(c.since)
		sw.judgeEnd(c, reason, uptime)
		sw.events.Notify(events.PeerDisconnectedEvent{
			PeerID: c.id, Address: c.conn.RemoteAddr(), Reason: reason, Outbound: c.outbound,
		})
	}
	sw.registry.release(c)
	close(c.gone)
	sw.redial(c.id, uptime)
}

// track lets the switch find the connection by a PeerConn.
func (sw *MultiplexSwitch) track(c *connection, handle compat.PeerConn) {
	c.handles = append(c.handles, handle)
	sw.conns.Store(handle, c)
}

// The time that a probed connection has to show that the remote uses it. It is twice
// what a remote may need to remove a former connection. The jitter keeps two nodes that
// both give up from dialing each other in step again.
const (
	aliveTimeout = 2 * formerTimeout
	aliveJitter  = aliveTimeout / 3
)

// probeAlive ends the connection unless the remote shows in time that it uses it, if the
// stack can tell. A TM2 node of v1.2.0 to v1.4.0 keeps the first of two crossed
// connections, and leaves its own dial open without using it (docs/wire.md §4.5).
func (c *connection) probeAlive() {
	if prober, ok := c.conn.(compat.LivenessProber); ok {
		prober.ProbeAlive(aliveTimeout + rand.N(aliveJitter))
	}
}

// probeDuplicate probes the connection of a peer whose new connection was refused as a
// duplicate. The peer has proved its ID, so it seems to have lost the former connection.
func (sw *MultiplexSwitch) probeDuplicate(id types.ID, refusal error) {
	if compat.ClassifyDial(refusal) != compat.DialDuplicate {
		return
	}
	if c := sw.registry.get(id); c != nil {
		c.probeAlive()
	}
}
