package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var errPresented = errors.New("a bridged peer is not bridged again")

// incoming is a node that has dialed the bridge, and waits for the NodeInfo of its
// counterpart.
type incoming struct {
	id       types.ID
	at       types.ID // the identity of the bridge that the node has dialed
	node     types.NodeInfo
	reject   func(error)
	complete func(context.Context, types.NodeInfo, compat.PeerBehavior) (compat.PeerConn, error)
}

// acceptNative pairs each native node that dials an identity of the bridge with a libp2p node.
func (b *Bridge) acceptNative(side *native.RelayTransport) {
	for {
		pending, err := side.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		in := incoming{id: pending.ID(), at: side.NetAddress().ID, node: pending.NodeInfo(), reject: pending.Reject}
		in.complete = func(_ context.Context, far types.NodeInfo, near compat.PeerBehavior) (compat.PeerConn, error) {
			return pending.Complete(far, near)
		}
		in = b.journal.watch(InitiatorNative, in, pending.RemoteAddr())
		if isPresented(in.node) {
			in.reject(fmt.Errorf("%s is presented by another bridge: %w", in.id, errPresented))

			continue
		}
		b.admit(InitiatorNative, in, pending.RemoteAddr())
	}
}

// acceptLibp2p pairs each libp2p node that dials the bridge with a native node.
func (b *Bridge) acceptLibp2p(side *lp2p.Transport) {
	for {
		pending, err := side.AcceptPending(b.ctx)
		if err != nil {
			return // only the end of the bridge ends AcceptPending
		}
		in := incoming{id: pending.ID(), at: b.key.ID(), node: pending.NodeInfo(), complete: pending.Complete}
		in.reject = func(err error) {
			refusal := b.refusal(err)
			b.refused.Event(slog.LevelInfo, netgroup.FromAddr(pending.RemoteAddr()), "libp2p peer refused", refusal.Code.String(),
				"peer", pending.ID(), "address", pending.RemoteAddr(), "err", err)
			if err := pending.Reject(refusal); err != nil {
				b.logger.Debug("refusal could not be sent", "peer", pending.ID(), "err", err)
			}
		}
		in = b.journal.watch(InitiatorLibp2p, in, pending.RemoteAddr())
		if pending.Delegated() {
			in.reject(fmt.Errorf("%s is presented by %s: %w", pending.ID(), pending.DelegatedBy(), errPresented))

			continue
		}
		b.admit(InitiatorLibp2p, in, pending.RemoteAddr())
	}
}

// admit pairs the node, on a goroutine, if it is not blocked and gets a slot. A libp2p node becomes a
// target, also if it gets none, but not while it is refused for its conduct: what it has failed in
// before would be forgotten.
func (b *Bridge) admit(initiator string, in incoming, remote net.Addr) {
	if b.blocks(in.id, netgroup.FromAddr(remote)) {
		in.reject(errBlocked)

		return
	}
	host := netgroup.Host(netgroup.FromAddr(remote))
	if err := b.gate.judge(in.id, host); err != nil {
		in.reject(err)

		return
	}
	if initiator == InitiatorLibp2p {
		b.learnDialer(in.node, remote)
	}
	p := b.newPair(initiator)
	p.id, p.at, p.from = in.id, in.at, host
	p.stranger = !b.journal.knows(in.id)
	p.known = !p.stranger && !b.gate.IsExemptPeer(in.id)
	if !b.config.AllowDuplicateIP && !b.slots.isUnconditional(p.claim) {
		p.host = p.from
	}
	if err := b.slots.take(p, host); err != nil {
		b.gate.spare(p)
		p.end(nil, err)
		in.reject(err)

		return
	}
	b.wg.Go(func() {
		defer b.slots.giveBack(p)
		b.join(p, in)
	})
}

// refusal is what a libp2p node is told when it gets no pair. An error of a search names
// addresses of other nodes, so the node learns only what the targets said, or how they failed.
func (b *Bridge) refusal(err error) *compat.RejectError {
	if b.ctx.Err() != nil {
		return compat.Reject(compat.RejectClosing, "%v", errBridgeStopped)
	}
	for _, known := range []struct {
		err  error
		code compat.RejectCode
		told error
	}{
		{errPresented, compat.RejectIdentity, err},
		{errBlocked, compat.RejectBanned, errBlocked},
		{errConduct, compat.RejectBanned, err},
		{errFull, compat.RejectFull, err},
		{errGaveWay, compat.RejectFull, errCrowded},
		{errReplaced, compat.RejectDuplicate, errReplaced},
		{errFormer, compat.RejectDuplicate, errFormer},
		{errNoFurther, compat.RejectFull, errNoFurther},
		{errDuplicateIP, compat.RejectFull, errDuplicateIP},
		{errSpared, compat.RejectUnavailable, errSpared},
		{errNoTargets, compat.RejectUnavailable, errNoTargets},
	} {
		if errors.Is(err, known.err) {
			return compat.Reject(known.code, "%v", known.told)
		}
	}

	var m *missed
	if errors.As(err, &m) {
		return compat.Reject(compat.RejectUnavailable, "%s", m.told())
	}

	return compat.Reject(compat.RejectUnavailable, "%v", errNoCounterpart)
}

// join finds a counterpart for the node on the other side, shows the node the
// counterpart's NodeInfo, and relays until either connection ends.
func (b *Bridge) join(p *pair, in incoming) {
	making, stop := context.WithTimeout(p.ctx, b.pairTimeout)
	defer stop()
	near, far := p.dialed.other(), p.dialed
	t, err := b.find(making, p, in)
	if err != nil {
		if p.hasGivenWay() {
			err = errGaveWay
		}
		if m, ok := errors.AsType[*missed](err); !ok || !m.unfit { // else it costs a target a connection each time
			b.gate.spare(p)
		}
		in.reject(err)

		return
	}
	p.target = t
	defer p.release()
	show := present
	if near == p.native {
		show = presentNative
	}
	info := show(far.peer.NodeInfo(), in.at)
	near.self = info.ID()
	near.listen(b.config.describe(info.Channels))
	near.peer, err = in.complete(making, info, near)
	if err != nil {
		b.refused.Event(slog.LevelInfo, p.from.Addr(), "peer could not be paired", near.name,
			"side", near.name, "peer", p.id, "target", far.peer.ID(), "err", err)
		far.abandon(err)

		return
	}
	b.gate.met(p.id, p.from)
	p.run()
}

// find searches for a counterpart, to which the node has its derived identity, once the
// node has no other pair, and that of a node that gives way to it has ended.
func (b *Bridge) find(ctx context.Context, p *pair, in incoming) (*target, error) {
	p.awaitRoom(ctx)
	if err := b.slots.replace(ctx, p); err != nil {
		return nil, err
	}
	key, err := deriveIdentity(b.key.PrivKey, p.id)
	if err != nil {
		return nil, err
	}
	far := p.dialed
	far.self = key.ID()
	far.listen(b.config.describe(in.node.Channels))
	as := lp2p.Identity{Key: key.PrivKey, NodeInfo: present(in.node, far.self), Host: p.from}
	s := search{bridge: b, node: p.dialer(), targets: far.targets}
	dial := b.dialLibp2p
	if far == p.native {
		dial, as.NodeInfo = b.dialNative, presentNative(in.node, far.self)
	}
	s.try = func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
		peer, err := dial(ctx, addr, as, far)
		b.noteCopy(p, addr.ID, err)

		return peer, err
	}
	s.discard = func(peer compat.PeerConn) { far.drop(peer, errNotNeeded) }
	t, peer, err := s.find(ctx, p.ctx)
	far.peer, p.left = peer, s.left

	return t, err
}

// nativePeer is a connection with a transport of its own.
type nativePeer struct {
	compat.PeerConn
	transport *native.MultiplexTransport
}

// CloseConn implements compat.PeerConn.
func (p nativePeer) CloseConn() error {
	return errors.Join(p.PeerConn.CloseConn(), p.transport.Close())
}

// dialNative makes a connection to one native node.
func (b *Bridge) dialNative(
	ctx context.Context, addr types.NetAddress, as lp2p.Identity, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	transport := native.NewMultiplexTransport(as.NodeInfo, types.NodeKey{PrivKey: as.Key}, b.config.MConfig, b.logger, native.WithSockets(b.dialSockets()))
	peer, err := transport.Dial(ctx, addr, behavior)
	if err != nil {
		return nil, errors.Join(err, transport.Close())
	}

	return nativePeer{peer, transport}, nil
}

// dialLibp2p opens a session with one libp2p node. It tries again while the node still
// has the former session of the identity.
func (b *Bridge) dialLibp2p(
	ctx context.Context, addr types.NetAddress, as lp2p.Identity, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	for {
		peer, err := b.libp2p.Load().DialAs(ctx, addr, as, behavior)
		if compat.ClassifyDial(err) != compat.DialDuplicate || !task.Sleep(ctx, duplicateRetry) {
			return peer, err
		}
	}
}
