package lp2p

import (
	"context"
	"errors"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Accept implements compat.Transport. It must not be used beside AcceptPending, and
// always with the same behavior: handshakes run concurrently, and a peer is
// returned to whoever asks next.
func (t *Transport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	t.served.Store(&behavior)
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

// complete finishes one handshake, so that a slow remote delays nobody else.
func (t *Transport) complete(p *Pending, behavior compat.PeerBehavior) {
	defer t.tasks.Done()

	conn, err := p.complete(t.ctx, t.localNodeInfo(), behavior)
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

// AcceptPending waits for an inbound session whose Hello was read and is valid. The
// caller answers it by Complete or Reject before the handshake timeout, after which
// the remote is refused. It returns ctx.Err() when the context ends and
// compat.ErrTransportClosed after Close.
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

// handleSession runs an inbound handshake on the goroutine on which libp2p hands
// over the control stream.
func (t *Transport) handleSession(ns network.Stream) {
	if t.enter() != nil {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	defer t.tasks.Done()

	if !t.handshakes.take(ns.Conn()) {
		t.logger.Debug("too many handshakes under way", "peer", ns.Conn().RemotePeer())
		t.metrics.handshakes[dirIn].count(outcomeBusy)
		_ = ns.ResetWithError(network.StreamRateLimited)

		return
	}
	defer t.handshakes.giveBack(ns.Conn())

	if !t.retain(ns.Conn()) {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	p := newPending(t, ns)
	err := p.run()
	t.metrics.handshakes[dirIn].count(outcomeOf(err))
	if err != nil {
		level := slog.LevelDebug
		var refusal *compat.RejectError
		if errors.As(err, &refusal) && refusal.Code == compat.RejectIdentity {
			level = slog.LevelInfo // such as a clock that is wrong: the operators have to act
		}
		t.logger.Log(t.ctx, level, "inbound handshake failed", "peer", ns.Conn().RemotePeer(), "err", err)
		p.refuse(err)
	}
}
