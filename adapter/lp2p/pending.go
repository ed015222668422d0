package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// Pending is an inbound session that waits for its answer. The remote has proved its
// identity. All methods may be called concurrently.
type Pending struct {
	t        *Transport
	slot     *slot
	stream   *stream.Stream
	deadline time.Time
	claimed  atomic.Bool
	verdict  chan error // receives nil when the session is established, else the reason

	key         *sessionKey // once the epoch is reserved
	accepted    bool        // the remote was sent an Accept
	failed      *session    // its streams have yet to end
	id          types.ID
	delegatedBy types.ID
	seenAt      netip.Prefix // where the node that speaks for it has seen it, if it says
	node        types.NodeInfo
}

func newPending(t *Transport, ns network.Stream, slot *slot) *Pending {
	return &Pending{
		t: t, slot: slot, stream: stream.Inbound(ns), verdict: make(chan error, 1),
		deadline: time.Now().Add(t.opts.timeouts.Handshake),
	}
}

// identify sets the ID of the peer, and of the node that speaks for it.
func (p *Pending) identify(h *control.Hello, connKey ed25519.PublicKey) error {
	connID := types.IDFromPublicKey(connKey)
	if h.Delegation == nil {
		p.id = connID

		return nil
	}

	now := p.t.opts.now()
	key, err := h.Delegation.Verify(h.Epoch, p.stream.Conn().RemotePeer(), p.t.host.ID(), now)
	if err == nil || errors.Is(err, control.ErrDelegationExpired) || errors.Is(err, control.ErrDelegationLong) {
		p.t.clock.noteDelegation(netgroup.Network(ipOf(p.stream.Conn().RemoteMultiaddr())), h.Delegation, now)
	}
	if err != nil {
		return compat.Reject(compat.RejectIdentity, "%v", err)
	}
	p.id, p.delegatedBy = types.IDFromPublicKey(key), connID
	if h.Delegation.Host.IsValid() {
		p.seenAt = netgroup.Host(h.Delegation.Host.Addr())
	}

	return nil
}

// ID returns the TM2 ID that the remote has proved: its own, or the delegated one.
func (p *Pending) ID() types.ID { return p.id }

// NodeInfo returns the remote's NodeInfo. It is valid and has the ID of the remote, but
// compatibility is not checked. The caller must not change what it points to.
func (p *Pending) NodeInfo() types.NodeInfo { return p.node }

// RemoteAddr returns the remote end of the libp2p connection.
func (p *Pending) RemoteAddr() net.Addr { return p2paddr.NetAddr(p.stream.Conn().RemoteMultiaddr()) }

// Delegated reports whether another node speaks for the remote.
func (p *Pending) Delegated() bool { return p.delegatedBy != "" }

// DelegatedBy returns the node that speaks for the remote. It is empty if the remote
// speaks for itself.
func (p *Pending) DelegatedBy() types.ID { return p.delegatedBy }

// Complete accepts the session if behavior admits the peer and the NodeInfos are
// compatible. Otherwise the remote is told the reason, and the error wraps the
// *compat.RejectError. local is sent to the remote, and must have this node's ID. Complete
// returns ErrPendingGone if the session was answered or has expired.
func (p *Pending) Complete(
	ctx context.Context, local types.NodeInfo, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if err := p.t.enter(); err != nil {
		return nil, err
	}
	defer p.t.tasks.Done()

	conn, err := p.complete(ctx, local, behavior)
	if err != nil {
		return nil, err // no typed nil
	}

	return conn, nil
}

func (p *Pending) complete(ctx context.Context, local types.NodeInfo, behavior compat.PeerBehavior) (*Peer, error) {
	if !p.claimed.CompareAndSwap(false, true) {
		return nil, ErrPendingGone
	}

	conn, err := p.answer(ctx, local, behavior)
	p.verdict <- err
	if err != nil {
		return nil, fmt.Errorf("session of %s at %s: %w", p.id, p.RemoteAddr(), err)
	}

	return conn, nil
}

// Reject refuses the session with a code and a text for the remote. It does not
// wait for the remote.
func (p *Pending) Reject(reason *compat.RejectError) error {
	if !p.claimed.CompareAndSwap(false, true) {
		return ErrPendingGone
	}
	p.verdict <- reason

	return nil
}

// admit checks whether the peer is admitted. Its errors are refusals. It asks the switch
// last, so that a node of another network is told that, and not that there is no slot.
func (p *Pending) admit(local types.NodeInfo, behavior compat.PeerBehavior) error {
	if err := p.t.gater.admits(p.stream.Conn(), p.id); err != nil {
		return err
	}
	if err := compatible(local, p.node); err != nil {
		p.t.inbound.Event(slog.LevelInfo, ipOf(p.stream.Conn().RemoteMultiaddr()), "peer refused", outcomeOf(err).String(),
			"peer", p.id, "address", p.RemoteAddr(), "outbound", false, "err", err)

		return err
	}
	if a, ok := behavior.(compat.PeerAdmission); ok {
		info := connInfo(p.stream.Conn().RemoteMultiaddr(), p.id, behavior, false)
		info.DelegatedBy, info.SeenAt = p.delegatedBy, p.seenAt
		past := p.t.past(p.stream.Conn())
		info.Again = past.Load() > 0
		if err := a.AdmitPeer(info, p.node); err != nil {
			var reject *compat.RejectError
			if !errors.As(err, &reject) {
				return fmt.Errorf("%w: %w", compat.Reject(compat.RejectUnspecified, ""), err)
			}

			return err
		}
		if info.Again {
			past.Add(-1) // a peer that was refused is asked about as before
		}
	}

	return nil
}

// answer sends the Accept and makes the peer. It activates the session first: data streams
// of the remote may arrive as soon as the remote has the Accept.
func (p *Pending) answer(ctx context.Context, local types.NodeInfo, behavior compat.PeerBehavior) (*Peer, error) {
	if local.ID() != p.t.id {
		return nil, fmt.Errorf("%w: local node info has the ID %s instead of %s",
			compat.Reject(compat.RejectUnavailable, ""), local.ID(), p.t.id)
	}
	raw, err := local.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", compat.Reject(compat.RejectUnavailable, ""), err)
	}
	if err := p.admit(local, behavior); err != nil {
		return nil, err
	}

	if p.Delegated() {
		p.t.spent.add(*p.key, time.Now())
	}

	s := newSession(p.t, p.stream.Conn(), p.stream, p.key.epoch, false, local.Channels, behavior)
	s.past = p.t.past(p.stream.Conn())
	if err := p.t.sessions.activate(s); err != nil {
		return nil, err
	}
	conn, err := p.accept(ctx, s, raw)
	if err != nil {
		if first, _ := s.end(err, nil); !first {
			err = s.cause // constant after the end; err only tells how the handshake ended then
		}
		p.t.sessions.deactivate(s.key)
		p.failed = s

		return nil, err
	}
	if p.Delegated() {
		p.t.noteCopies(p.stream.Conn())
	}
	// endBlocked cannot know whose session this is before it is established.
	if p.t.gater.admits(p.stream.Conn(), p.id) != nil {
		s.fail(banned())
	}

	return conn, nil
}

func (p *Pending) accept(ctx context.Context, s *session, nodeInfo []byte) (*Peer, error) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = p.stream.SetDeadline(stream.LongAgo)
	})
	n, err := p.stream.Write(control.Append(nil, &control.Accept{Epoch: s.key.epoch, NodeInfo: nodeInfo}))
	p.accepted = err == nil
	if err != nil && n > 0 {
		p.t.tryEnd(func() { _ = p.stream.Reset() }) // nothing can follow a part of an Accept
	}
	if !stop() {
		<-cut // so that it does not cut off the reason
		if p.t.ctx.Err() != nil {
			return nil, compat.ErrTransportClosed
		}

		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("unable to send the accept: %w", err)
	}
	if err := p.stream.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	// Not before: a remote that does not read the Accept gives way too.
	if evicted := p.slot.Leave(); evicted {
		return nil, errGaveWay
	}
	p.t.protect(p.stream.Conn())

	return s.establish(remoteInfo{id: p.id, node: p.node, delegatedBy: p.delegatedBy, seenAt: p.seenAt}, nil)
}

// run reads the Hello, passes the session to AcceptPending, and waits for the verdict. On
// success the session owns the stream and the connection; otherwise the error is the reason
// to refuse the remote.
func (p *Pending) run() error {
	if err := p.stream.SetDeadline(p.deadline); err != nil {
		return err
	}
	if err := p.readHello(); err != nil {
		return err
	}
	p.slot.Speak()
	defer inboundScopeOf(p.stream.Conn()).keep()() // a session that is accepted keeps it on

	timer := time.NewTimer(time.Until(p.deadline))
	defer timer.Stop()
	select {
	case p.t.pendings <- p:
	case <-p.slot.lost:
		return errGaveWay
	case <-timer.C:
		return compat.Reject(compat.RejectUnavailable, "nobody has accepted the session in time")
	case <-p.t.ctx.Done():
		return compat.Reject(compat.RejectClosing, "")
	}

	var late error
	select {
	case err := <-p.verdict:
		return err
	case <-p.slot.lost:
		late = errGaveWay
	case <-timer.C:
		late = compat.Reject(compat.RejectUnavailable, "nobody has answered the session in time")
	case <-p.t.ctx.Done():
		late = compat.Reject(compat.RejectClosing, "")
	}
	if !p.claimed.CompareAndSwap(false, true) {
		return <-p.verdict // within the deadline of the stream
	}

	return late
}

// readHello reads and checks the Hello, and reserves its epoch.
func (p *Pending) readHello() error {
	if isCircuit(p.stream.Conn().RemoteMultiaddr()) {
		return compat.Reject(compat.RejectUnavailable, "no session through a relay")
	}
	m, err := control.Read(p.stream)
	if err != nil {
		return fmt.Errorf("unable to read the hello: %w", err)
	}
	h, ok := m.(*control.Hello)
	if !ok {
		return control.Violation("handshake begins with kind %d instead of a hello", m.Kind())
	}
	if h.Version != control.Version && h.Version != control.HostVersion {
		return compat.Reject(compat.RejectIncompatible, "session version %d, supported are %d and %d",
			h.Version, control.Version, control.HostVersion)
	}

	conn := p.stream.Conn()
	connKey, err := p2paddr.PublicKey(conn.RemotePeer())
	if err != nil {
		return compat.Reject(compat.RejectIdentity, "%v", err)
	}
	if edkey.LowOrder(connKey) {
		return compat.Reject(compat.RejectIdentity, "key of low order")
	}
	if err := p.identify(h, connKey); err != nil {
		return err
	}
	p.t.book.LearnKey(connKey)
	if p.node, err = decodeNodeInfo(h.NodeInfo, p.id); err != nil {
		return err
	}

	if err := p.t.checkRoom(conn); err != nil {
		return err
	}
	key := sessionKey{peer: conn.RemotePeer(), epoch: h.Epoch}
	if err := p.t.sessions.reserve(key, true); err != nil {
		return err
	}
	p.key = &key
	if p.t.spent.has(key) {
		return compat.Reject(compat.RejectInvalid, "delegated session has been before")
	}

	return nil
}

// refuse tells the remote the reason, gives it time to read that, and releases what the
// handshake holds.
func (p *Pending) refuse(reason error) {
	defer p.t.release(p.stream.Conn())
	if p.key != nil {
		defer p.t.sessions.forget(*p.key)
	}

	if p.tell(reason) {
		p.t.tryEnd(func() { _ = p.stream.CloseWrite() })
		p.stream.Drain()
	}
	if p.failed != nil {
		p.t.tryEnd(func() { p.failed.resetData(network.StreamShutdown) })
	}
	code := network.StreamRateLimited // which may be lost with a connection that closes at once
	if !errors.Is(reason, places.ErrFull) {
		code = network.StreamNoError
		p.t.closeUnused(p.stream.Conn(), p.Delegated(), reason)
	}
	p.t.tryEnd(func() { _ = p.stream.ResetWithError(code) })
}

// tell sends the reason if it is a refusal: by a Goodbye if the remote has the Accept, else
// by a Reject. It reports whether it did.
func (p *Pending) tell(reason error) bool {
	r, ok := refusalOf(reason)
	if !ok {
		return false
	}
	var m control.Message = &control.Reject{Code: r.Code, Text: r.Reason}
	sent := &p.t.metrics.rejects.sent
	if p.accepted {
		m, sent = &control.Goodbye{Code: r.Code, Text: r.Reason}, &p.t.metrics.goodbyes.sent
	}
	_ = p.stream.SetDeadline(time.Now().Add(p.t.opts.timeouts.Linger))
	if _, err := p.stream.Write(control.Append(nil, m)); err != nil {
		return false
	}
	sent.count(outcomeOfCode(r.Code))

	return true
}
