package bridge

import (
	"context"
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// acceptLibp2p pairs each libp2p node that dials the bridge with a native node.
func (b *Bridge) acceptLibp2p(side *lp2p.Transport) {
	for {
		pending, err := side.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		release, refusal := b.enter(pending)
		if refusal != nil {
			b.reject(pending, refusal, refusal)

			continue
		}
		b.wg.Go(func() {
			defer release()
			b.bridgeLibp2p(side, pending)
		})
	}
}

// enter takes a slot for the session, or says why it gets none.
func (b *Bridge) enter(pending *lp2p.Pending) (release func(), refusal *compat.RejectError) {
	if pending.Delegated() {
		return nil, compat.Reject(compat.RejectIdentity, "%s is presented by %s: a bridged peer is not bridged again",
			pending.ID(), pending.DelegatedBy())
	}
	b.learnDialer(pending)
	release, err := b.slots.take(claim{InitiatorLibp2p, pending.ID()}, pending.RemoteAddr())
	if err != nil {
		return nil, compat.Reject(compat.RejectFull, "%v", err)
	}

	return release, nil
}

func (b *Bridge) reject(pending *lp2p.Pending, refusal *compat.RejectError, cause error) {
	b.logger.Info("libp2p peer refused", "peer", pending.ID(), "address", pending.RemoteAddr(), "err", cause)
	if err := pending.Reject(refusal); err != nil {
		b.logger.Debug("refusal could not be sent", "peer", pending.ID(), "err", err)
	}
}

// refusal is what a libp2p node is told when the pair could not be made. Of the error
// it learns no more than its kind, as the rest names addresses of other nodes.
func (b *Bridge) refusal(err error) *compat.RejectError {
	switch {
	case b.ctx.Err() != nil:
		return compat.Reject(compat.RejectClosing, "%v", errBridgeStopped)
	case errors.Is(err, errReplaced):
		return compat.Reject(compat.RejectDuplicate, "%v", errReplaced)
	case errors.Is(err, errFormer):
		return compat.Reject(compat.RejectDuplicate, "%v", errFormer)
	case errors.Is(err, errNoTargets):
		return compat.Reject(compat.RejectUnavailable, "%v", errNoTargets)
	default:
		return compat.Reject(compat.RejectUnavailable, "%v", errNoCounterpart)
	}
}

// bridgeLibp2p dials a native node under the derived identity of the libp2p node,
// answers the session with what it found, and relays until either ends.
func (b *Bridge) bridgeLibp2p(side *lp2p.Transport, pending *lp2p.Pending) {
	p := b.newPair(InitiatorLibp2p)
	defer p.stopMaking()
	if err := b.claim(p.making, p, pending.ID()); err != nil {
		b.reject(pending, b.refusal(err), err)

		return
	}
	defer b.disclaim(p, pending.ID())
	t, release, err := b.findNative(p, pending)
	if err != nil {
		b.reject(pending, b.refusal(err), err)

		return
	}
	defer func() { b.nativeTargets.release(pending.ID(), t, p.verdict()) }()
	defer release()

	far := p.native.peer
	p.libp2p.self = b.key.ID()
	p.libp2p.listen(b.config.describe(far.NodeInfo().Channels))
	p.libp2p.remove = side.Remove
	p.libp2p.peer, err = pending.Complete(p.making, present(far.NodeInfo(), b.key.ID()), p.libp2p)
	if err != nil {
		b.logger.Info("libp2p peer could not be paired", "peer", pending.ID(), "native", far.ID(), "err", err)
		p.native.abandon(err)

		return
	}
	b.couple(p)
}

// findNative makes the native connection of a pair with the best native node. The
// caller calls release when the connection was removed.
func (b *Bridge) findNative(p *pair, pending *lp2p.Pending) (t *target, release func(), err error) {
	key, err := deriveIdentity(b.key.PrivKey, pending.ID())
	if err != nil {
		return nil, nil, err
	}
	p.native.self = keyID(key)
	p.native.listen(b.config.describe(pending.NodeInfo().Channels))
	p.native.remove = b.removeNative
	info := present(pending.NodeInfo(), p.native.self)
	s := search{bridge: b, node: pending.ID(), targets: b.nativeTargets, discard: p.native.discard}
	s.try = func(ctx context.Context, addr types.NetAddress) (made, error) {
		return b.dialNative(ctx, addr, info, types.NodeKey{PrivKey: key}, p.native)
	}
	t, m, err := s.find(p.making)
	p.native.peer, p.left = m.peer, s.left

	return t, m.close, err
}

// dialNative makes a connection to one native node, with a transport of its own.
func (b *Bridge) dialNative(
	ctx context.Context, addr types.NetAddress, as types.NodeInfo, key types.NodeKey, behavior compat.PeerBehavior,
) (made, error) {
	dialer := native.NewMultiplexTransport(as, key, b.config.MConfig, b.logger)
	peer, err := dialer.Dial(ctx, addr, behavior)
	if err != nil {
		return made{}, errors.Join(err, dialer.Close())
	}

	return made{peer: peer, close: func() {
		if err := dialer.Close(); err != nil {
			b.logger.Warn("native transport did not close cleanly", "peer", addr, "err", err)
		}
	}}, nil
}

// removeNative closes a native connection; its transport waits for the rest.
func (b *Bridge) removeNative(peer compat.PeerConn) {
	if err := peer.CloseConn(); err != nil {
		b.logger.Debug("connection closed with an error", "peer", peer.ID(), "err", err)
	}
}
