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
func (b *Bridge) acceptLibp2p() {
	for {
		pending, err := b.libp2p.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		if refusal := b.refuse(pending); refusal != nil {
			b.reject(pending, refusal)

			continue
		}
		b.wg.Go(func() {
			defer b.leave()
			b.bridgeLibp2p(pending)
		})
	}
}

// refuse takes a slot for the session, or says why it gets none.
func (b *Bridge) refuse(pending *lp2p.Pending) *compat.RejectError {
	if pending.Delegated() {
		return compat.Reject(compat.RejectIdentity, "%s is presented by %s: a bridged peer is not bridged again",
			pending.ID(), pending.DelegatedBy())
	}
	if !b.enter() {
		return compat.Reject(compat.RejectFull, "%v", errFull)
	}

	return nil
}

func (b *Bridge) reject(pending *lp2p.Pending, refusal *compat.RejectError) {
	b.logger.Info("libp2p peer refused", "peer", pending.ID(), "address", pending.RemoteAddr(), "err", refusal)
	if err := pending.Reject(refusal); err != nil {
		b.logger.Debug("refusal could not be sent", "peer", pending.ID(), "err", err)
	}
}

// bridgeLibp2p dials a native node under the derived identity of the libp2p node,
// answers the session with what it found, and relays until either ends.
func (b *Bridge) bridgeLibp2p(pending *lp2p.Pending) {
	ctx, cancel := context.WithTimeout(b.ctx, pairTimeout)
	defer cancel()

	p := b.newPair(InitiatorLibp2p)
	var dialer *native.MultiplexTransport
	t, err := b.findCounterpart(b.legacyTargets, func(t *target) error {
		var err error
		dialer, err = b.dialLegacy(ctx, p, pending, t)

		return err
	})
	if err != nil {
		b.reject(pending, compat.Reject(compat.RejectUnavailable, "%v", err))

		return
	}
	defer b.legacyTargets.release(t, false)
	defer func() {
		if err := dialer.Close(); err != nil {
			b.logger.Warn("native transport did not close cleanly", "peer", t.addr, "err", err)
		}
	}()

	far := p.legacy.peer
	p.libp2p.self = b.key.ID()
	p.libp2p.listen(b.config.describe(far.NodeInfo().Channels))
	p.libp2p.remove = b.libp2p.Remove
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
