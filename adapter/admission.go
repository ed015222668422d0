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

// formerTimeout is how long a connection waits for the removal of the peer's
// former one, which takes as long as the Receive that runs. A handshake takes
// no longer than that either, so the remote does not give up before.
const formerTimeout = 3 * time.Second

// errReplaced is the reason given to the one of two crossed connections that
// does not stay.
var errReplaced = compat.Reject(compat.RejectDuplicate, "the connection dialed by the lower ID stays")

func (sw *MultiplexSwitch) candidate(id types.ID, outbound bool) candidate {
	return candidate{self: sw.self(), id: id, outbound: outbound, exempt: sw.isPersistent(id)}
}

// mayAdmit tells, without blocking, what an admission would decide now.
func (sw *MultiplexSwitch) mayAdmit(id types.ID, outbound bool) error {
	return sw.registry.may(sw.candidate(id, outbound))
}

// admit takes a verified connection in and runs it, or refuses and closes it.
func (sw *MultiplexSwitch) admit(ctx context.Context, conn compat.PeerConn) {
	c := newConnection(conn)
	if err := sw.reserve(ctx, c); err != nil {
		sw.refuse(conn, err)

		return
	}
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

	for {
		former, err := sw.registry.reserve(c, sw.candidate(c.id, c.outbound))
		if err != nil || former == nil {
			return err
		}
		// Stopped already, or replaced: the registry returns no other.
		sw.stop(former, errReplaced)
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

// prepare initialises and starts the peer. After an error it does not run. Once
// a reactor has seen InitPeer the peer is started even if it was stopped in the
// meantime, so that AddPeer and RemovePeer follow and the reactor can give back
// what InitPeer took.
func (sw *MultiplexSwitch) prepare(c *connection) error {
	c.conn.SetLogger(sw.Logger.With("peer", c.id))
	if err := sw.initPeer(c); err != nil {
		return err
	}
	sw.track(c)
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

func (sw *MultiplexSwitch) initPeer(c *connection) error {
	c.peer = c.conn
	c.handles = append(c.handles, c.conn)
	for _, r := range sw.reactors {
		if err := sw.guard(c, r.name, "InitPeer", func() { initWith(c, r) }); err != nil {
			return err
		}
		if c.peer == nil {
			return fmt.Errorf("reactor %q returned no peer from InitPeer", r.name)
		}
	}

	return nil
}

// initWith lets the reactor wrap the peer; by whichever wrapper a reactor names
// the peer later, the switch knows it.
func initWith(c *connection, r compat.Reactor) {
	peer := r.InitPeer(c.peer)
	if peer != c.peer {
		c.handles = append(c.handles, peer)
	}
	c.peer = peer
}

// introduce makes a started peer known and drops the admission's reference. It
// runs in full even if the peer was stopped meanwhile, so that every reactor
// that has seen InitPeer of a started peer sees AddPeer and RemovePeer too.
func (sw *MultiplexSwitch) introduce(c *connection) {
	defer sw.release(c)
	sw.watch(c)
	if err := sw.peers.addConnection(c); err != nil {
		sw.stop(c, err)
	}
	for _, r := range sw.reactors {
		if err := sw.guard(c, r.name, "AddPeer", func() { r.AddPeer(c.peer) }); err != nil {
			sw.stop(c, err)
		}
	}
	sw.dials.forget(c.id)
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

// abandon ends the admission of a peer that does not run: no reactor hears of
// it any more.
func (sw *MultiplexSwitch) abandon(c *connection, reason error) {
	if first, _ := c.shut(reason); !first && c.stopReason() != nil {
		reason = c.stopReason()
	}
	sw.untrack(c)
	sw.refuse(c.conn, reason)
	sw.free(c, 0)
}

// refuse closes a connection that was not started, with the reason where the
// stack can tell it. A reason that is no *compat.RejectError gets one.
func (sw *MultiplexSwitch) refuse(conn compat.PeerConn, reason error) {
	var reject *compat.RejectError
	if !errors.As(reason, &reject) {
		reason = fmt.Errorf("%w: %w", compat.Reject(compat.RejectUnspecified, ""), reason)
	}
	sw.Logger.Info("peer refused", "peer", conn.ID(), "address", conn.RemoteAddr(),
		"outbound", conn.IsOutbound(), "err", reason)

	s, ok := conn.(compat.ReasonStopper)
	if !ok || s.StopForReason(reason) != nil {
		sw.closeConn(conn)
	}
	sw.transport.Remove(conn)
	sw.events.Notify(events.PeerRejectedEvent{
		PeerID:   conn.ID(),
		Address:  conn.RemoteAddr(),
		Reason:   reason,
		Outbound: conn.IsOutbound(),
	})
}
