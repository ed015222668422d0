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
			b.reject(pending, refusal)

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
	release, err := b.slots.take(pending.RemoteAddr())
	if err != nil {
		return nil, compat.Reject(compat.RejectFull, "%v", err)
	}

	return release, nil
}

func (b *Bridge) reject(pending *lp2p.Pending, refusal *compat.RejectError) {
	b.logger.Info("libp2p peer refused", "peer", pending.ID(), "address", pending.RemoteAddr(), "err", refusal)
	if err := pending.Reject(refusal); err != nil {
		b.logger.Debug("refusal could not be sent", "peer", pending.ID(), "err", err)
	}
}

// bridgeLibp2p dials a native node under the derived identity of the libp2p node,
// answers the session with what it found, and relays until either ends.
func (b *Bridge) bridgeLibp2p(side *lp2p.Transport, pending *lp2p.Pending) {
	ctx, cancel := context.WithTimeout(b.ctx, pairTimeout)
	defer cancel()

	p := b.newPair(InitiatorLibp2p)
	if err := b.claim(ctx, p, pending.ID()); err != nil {
		b.reject(pending, compat.Reject(compat.RejectDuplicate, "%v", err))

		return
	}
	defer b.disclaim(p, pending.ID())
	var dialer *native.MultiplexTransport
	t, err := b.findCounterpart(ctx, pending.ID(), b.legacyTargets, func(ctx context.Context, t *target) error {
		var err error
		dialer, err = b.dialLegacy(ctx, p, pending, t)

		return err
	})
	if err != nil {
		b.reject(pending, compat.Reject(compat.RejectUnavailable, "%v", err))

		return
	}
	defer func() { b.legacyTargets.release(pending.ID(), t, p.diedYoung()) }()
	defer func() {
		if err := dialer.Close(); err != nil {
			b.logger.Warn("native transport did not close cleanly", "peer", t.addr, "err", err)
		}
	}()

	far := p.legacy.peer
	p.libp2p.self = b.key.ID()
	p.libp2p.listen(b.config.describe(far.NodeInfo().Channels))
	p.libp2p.remove = side.Remove
	p.libp2p.peer, err = pending.Complete(ctx, present(far.NodeInfo(), b.key.ID()), p.libp2p)
	if err != nil {
		b.logger.Info("libp2p peer could not be paired", "peer", pending.ID(), "legacy", far.ID(), "err", err)
		b.abandon(p.legacy, err)

		return
	}
	b.couple(p)
}

// dialLegacy makes the native connection of a pair. The transport that made it
// is closed when the pair has ended.
func (b *Bridge) dialLegacy(
	ctx context.Context, p *pair, pending *lp2p.Pending, t *target,
) (*native.MultiplexTransport, error) {
	key, err := deriveIdentity(b.key.PrivKey, pending.ID())
	if err != nil {
		return nil, err
	}
	p.legacy.self = keyID(key)
	p.legacy.listen(b.config.describe(pending.NodeInfo().Channels))
	p.legacy.remove = b.removeLegacy

	info := present(pending.NodeInfo(), p.legacy.self)
	dialer := native.NewMultiplexTransport(info, types.NodeKey{PrivKey: key}, b.config.MConfig, b.logger)
	p.legacy.peer, err = dialer.Dial(ctx, *t.addr, p.legacy)
	if err != nil {
		return nil, errors.Join(err, dialer.Close())
	}

	return dialer, nil
}

// removeLegacy closes a native connection; its transport waits for the rest.
func (b *Bridge) removeLegacy(peer compat.PeerConn) {
	if err := peer.CloseConn(); err != nil {
		b.logger.Debug("connection closed with an error", "peer", peer.ID(), "err", err)
	}
}
