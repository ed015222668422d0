package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// acceptLegacy pairs each native node that dials the bridge with a libp2p node.
func (b *Bridge) acceptLegacy() {
	for {
		pending, err := b.legacy.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		release, err := b.slots.takeFor(pending.ID(), pending.RemoteAddr())
		if err != nil {
			pending.Reject(err)

			continue
		}
		b.wg.Go(func() {
			defer release()
			b.bridgeLegacy(pending)
		})
	}
}

// bridgeLegacy opens a session for the native node under its derived identity,
// shows the node its counterpart, and relays until either ends.
func (b *Bridge) bridgeLegacy(pending *native.Pending) {
	ctx, cancel := context.WithTimeout(b.ctx, pairTimeout)
	defer cancel()

	p := b.newPair(InitiatorLegacy)
	if err := b.claim(ctx, p, pending.ID()); err != nil {
		pending.Reject(err)

		return
	}
	defer b.disclaim(p, pending.ID())
	t, err := b.findCounterpart(ctx, pending.ID(), b.libp2pTargets, func(ctx context.Context, t *target) error {
		return b.dialLibp2p(ctx, p, pending, t)
	})
	if err != nil {
		pending.Reject(err)

		return
	}
	defer func() { b.libp2pTargets.release(pending.ID(), t, p.diedYoung()) }()

	far := p.libp2p.peer
	p.legacy.self = b.key.ID()
	p.legacy.listen(b.config.describe(far.NodeInfo().Channels))
	p.legacy.remove = b.removeLegacy
	p.legacy.peer, err = pending.Complete(present(far.NodeInfo(), b.key.ID()), p.legacy)
	if err != nil {
		b.logger.Info("legacy peer could not be paired", "peer", pending.ID(), "libp2p", far.ID(), "err", err)
		b.abandon(p.libp2p, err)

		return
	}
	b.couple(p)
}

// dialLibp2p opens the session of a pair with one libp2p node.
func (b *Bridge) dialLibp2p(ctx context.Context, p *pair, pending *native.Pending, t *target) error {
	key, err := deriveIdentity(b.key.PrivKey, pending.ID())
	if err != nil {
		return err
	}
	p.libp2p.self = keyID(key)
	p.libp2p.listen(b.config.describe(pending.NodeInfo().Channels))
	side := b.libp2pSide()
	p.libp2p.remove = side.Remove
	as := lp2p.Identity{Key: key, NodeInfo: present(pending.NodeInfo(), p.libp2p.self)}
	for {
		p.libp2p.peer, err = side.DialAs(ctx, *t.addr, as, p.libp2p)
		if !isDuplicate(err) || !wait(ctx, duplicateRetry) {
			return err
		}
	}
}

// isDuplicate reports whether a target still has the node's former session: it may
// hear of its end after it hears of the new one.
func isDuplicate(err error) bool {
	var reject *compat.RejectError

	return errors.As(err, &reject) && reject.Remote && reject.Code == compat.RejectDuplicate
}

// wait reports whether the context still lives after the time.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// abandon closes a connection whose counterpart could not be made.
func (b *Bridge) abandon(s *side, reason error) {
	if err := stopPeer(s.peer, reason); err != nil && !isStopped(err) {
		b.logger.Warn("connection did not stop cleanly", "side", s.name, "peer", s.peer.ID(), "err", err)
	}
	s.remove(s.peer)
	s.pair.end(nil, errors.Join(errNoCounterpart, reason))
}
