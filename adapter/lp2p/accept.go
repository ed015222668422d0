package lp2p

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Accept implements compat.Transport. Handshakes run concurrently, and each peer is returned
// by the next call of Accept: so all calls use the same behavior, and a transport uses
// either Accept or AcceptPending.
func (t *Transport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	t.served.Store(&behavior)
	t.gater.guard.Ask(behavior)
	for {
		select {
		case p := <-t.completed:
			return p, nil
		case p := <-t.pendings:
			if err := t.enter(); err != nil {
				return nil, err
			}
			go t.complete(p, behavior)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.ctx.Done():
			return nil, compat.ErrTransportClosed
		}
	}
}

// complete finishes one handshake, on a goroutine of its own: a slow remote delays no
// other one.
func (t *Transport) complete(p *Pending, behavior compat.PeerBehavior) {
	defer t.tasks.Done()

	conn, err := p.complete(t.ctx, t.NodeInfo(), behavior)
	if err != nil {
		t.logger.Debug("inbound session refused", "id", p.ID(), "addr", p.RemoteAddr(), "err", err)

		return
	}
	select {
	case t.completed <- conn:
	case <-t.ctx.Done():
		conn.s.stop(compat.Reject(compat.RejectClosing, ""))
	}
}

// AcceptPending waits for an inbound session with a valid Hello. The caller answers it by
// Complete or Reject; after the handshake timeout the transport refuses it. AcceptPending
// returns ctx.Err() when the context ends, and compat.ErrTransportClosed after Close.
func (t *Transport) AcceptPending(ctx context.Context) (*Pending, error) {
	select {
	case p := <-t.pendings:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.ctx.Done():
		return nil, compat.ErrTransportClosed
	}
}

// handleSession runs an inbound handshake.
func (t *Transport) handleSession(ns network.Stream) {
	slot, err := t.takeSlot(t.handshakes, ns)
	if err != nil {
		t.logInbound(slog.LevelWarn, ns.Conn(), "inbound handshake refused", "busy", "err", err)
		t.metrics.handshakes[dirIn].count(outcomeBusy)
		_ = ns.ResetWithError(network.StreamRateLimited)

		return
	}
	defer slot.leave()

	if !t.retainUnproved(ns.Conn()) {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	p := newPending(t, ns, slot)
	if err = p.run(); err != nil {
		err = slot.explain(err)
	}
	t.metrics.handshakes[dirIn].count(outcomeOf(err))
	if err != nil {
		t.logInbound(t.levelOf(err), ns.Conn(), "inbound handshake failed", outcomeOf(err).String(), "err", err)
		p.refuse(err)
	}
}

// levelOf returns at which level a failed handshake is logged. A refusal was logged where
// it was decided: in the switch, or in Pending.admit.
func (t *Transport) levelOf(err error) slog.Level {
	reject, refused := refusalOf(err)
	if t.ctx.Err() != nil || refused && reject.Code != compat.RejectIdentity && reject.Code != compat.RejectInvalid {
		return slog.LevelDebug
	}

	return slog.LevelInfo
}

// logInbound logs what a remote can cause over and over. The message and the reason are two of a
// few.
func (t *Transport) logInbound(level slog.Level, c network.Conn, msg, reason string, args ...any) {
	args = append(args, "peer", c.RemotePeer(), "address", p2paddr.NetAddr(c.RemoteMultiaddr()))
	t.inbound.Event(level, ipOf(c.RemoteMultiaddr()), msg, reason, args...)
}
