package lp2p

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		t.logger.Debug("inbound handshake failed", "peer", ns.Conn().RemotePeer(), "err", err)
		p.refuse(err)
	}
}

// run reads the Hello, offers it to AcceptPending, and waits for the verdict. On
// success the session owns the stream and the connection; else the error says why
// the remote is to be refused.
func (p *Pending) run() error {
	if err := p.stream.SetDeadline(p.deadline); err != nil {
		return err
	}
	if err := p.readHello(); err != nil {
		return err
	}

	timer := time.NewTimer(time.Until(p.deadline))
	defer timer.Stop()
	select {
	case p.t.pendings <- p:
	case <-timer.C:
		return compat.Reject(compat.RejectUnavailable, "nobody has accepted the session in time")
	case <-p.t.ctx.Done():
		return compat.Reject(compat.RejectClosing, "")
	}

	select {
	case err := <-p.verdict:
		return err
	case <-timer.C:
	case <-p.t.ctx.Done():
	}
	if !p.claimed.CompareAndSwap(false, true) {
		return <-p.verdict // within the deadline of the stream
	}

	return compat.Reject(compat.RejectUnavailable, "nobody has answered the session in time")
}

// readHello reads and checks the Hello, and reserves its epoch.
func (p *Pending) readHello() error {
	if isCircuit(p.stream.Conn().RemoteMultiaddr()) {
		return compat.Reject(compat.RejectUnavailable, "no session through a relay")
	}
	m, err := readControl(p.stream)
	if err != nil {
		return fmt.Errorf("unable to read the hello: %w", err)
	}
	h, ok := m.(*hello)
	if !ok {
		return violation("handshake begins with kind %d instead of a hello", m.kind())
	}
	if h.version != sessionVersion {
		return compat.Reject(compat.RejectIncompatible, "session version %d, supported is %d", h.version, sessionVersion)
	}

	conn := p.stream.Conn()
	connKey, err := publicKey(conn.RemotePeer())
	if err != nil {
		return compat.Reject(compat.RejectIdentity, "%v", err)
	}
	if lowOrder(connKey) {
		return compat.Reject(compat.RejectIdentity, "key of low order")
	}
	if err := p.identify(h, connKey); err != nil {
		return err
	}
	if p.node, err = decodeNodeInfo(h.nodeInfo, p.id); err != nil {
		return err
	}

	if err := p.t.checkRoom(conn); err != nil {
		return err
	}
	key := sessionKey{peer: conn.RemotePeer(), epoch: h.epoch}
	if err := p.t.reserve(key, true); err != nil {
		return err
	}
	p.key = &key
	if p.t.spent.has(key) {
		return compat.Reject(compat.RejectInvalid, "delegated session has been before")
	}

	return nil
}

// refuse tells the remote why, waits until it has had the chance to read it, and
// releases what the handshake holds.
func (p *Pending) refuse(reason error) {
	defer p.t.release(p.stream.Conn())
	if p.key != nil {
		defer p.t.forget(*p.key)
	}

	var r *compat.RejectError
	if errors.As(reason, &r) || errors.Is(reason, compat.ErrTransportClosed) {
		if r == nil {
			r = compat.Reject(compat.RejectClosing, "")
		}
		_ = p.stream.SetDeadline(time.Now().Add(p.t.opts.timeouts.Linger))
		if _, err := p.stream.Write(appendControl(nil, &reject{code: r.Code, text: r.Reason})); err == nil {
			p.t.metrics.rejects.sent.count(outcomeOfCode(r.Code))
			p.t.tryEnd(func() { _ = p.stream.CloseWrite() })
			p.stream.drain()
		}
	}
	p.t.tryEnd(func() { _ = p.stream.Reset() })
}
