package bridge

import (
	"context"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// acceptNative pairs each native node that dials the bridge with a libp2p node.
func (b *Bridge) acceptNative() {
	for {
		pending, err := b.native.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		release, err := b.slots.take(claim{InitiatorNative, pending.ID()}, pending.RemoteAddr())
		if err != nil {
			pending.Reject(err)

			continue
		}
		b.wg.Go(func() {
			defer release()
			b.bridgeNative(pending)
		})
	}
}

// bridgeNative opens a session for the native node under its derived identity,
// shows the node its counterpart, and relays until either ends.
func (b *Bridge) bridgeNative(pending *native.Pending) {
	p := b.newPair(InitiatorNative)
	defer p.stopMaking()
	if err := b.claim(p.making, p, pending.ID()); err != nil {
		pending.Reject(err)

		return
	}
	defer b.disclaim(p, pending.ID())
	t, err := b.findLibp2p(p, pending)
	if err != nil {
		pending.Reject(err)

		return
	}
	defer func() { b.libp2pTargets.release(pending.ID(), t, p.verdict()) }()

	far := p.libp2p.peer
	p.native.self = b.key.ID()
	p.native.listen(b.config.describe(far.NodeInfo().Channels))
	p.native.remove = b.removeNative
	p.native.peer, err = pending.Complete(present(far.NodeInfo(), b.key.ID()), p.native)
	if err != nil {
		b.logger.Info("native peer could not be paired", "peer", pending.ID(), "libp2p", far.ID(), "err", err)
		p.libp2p.abandon(err)

		return
	}
	b.couple(p)
}

// findLibp2p opens the session of a pair with the best libp2p node.
func (b *Bridge) findLibp2p(p *pair, pending *native.Pending) (*target, error) {
	key, err := deriveIdentity(b.key.PrivKey, pending.ID())
	if err != nil {
		return nil, err
	}
	side := b.libp2pSide()
	p.libp2p.self = keyID(key)
	p.libp2p.listen(b.config.describe(pending.NodeInfo().Channels))
	p.libp2p.remove = side.Remove
	as := lp2p.Identity{Key: key, NodeInfo: present(pending.NodeInfo(), p.libp2p.self)}
	s := search{bridge: b, node: pending.ID(), targets: b.libp2pTargets, discard: p.libp2p.discard}
	s.try = func(ctx context.Context, addr types.NetAddress) (made, error) {
		peer, err := dialLibp2p(ctx, side, addr, as, p.libp2p)

		return made{peer: peer, close: func() {}}, err
	}
	t, m, err := s.find(p.making)
	p.libp2p.peer, p.left = m.peer, s.left

	return t, err
}
