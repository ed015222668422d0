package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// dialAttempts bounds the attempts of a dial whose shared connection is closed by its other
// users, or by the remote.
const dialAttempts = 3

// dialAddrTTL is how long libp2p keeps a dialed address. It is not peerstore.TempAddrTTL,
// whose addresses identify removes at every disconnect.
const dialAddrTTL = 3 * time.Minute

// Dial implements compat.Transport. compat.ClassifyDial classifies its errors, which may
// also wrap ErrNotLibp2p, ErrNoSessions or ErrOnlyRelayed.
//
// A host name is looked up at each dial. Its addresses of both families are dialed in the
// resolver's order until one proves the ID: a connect that fails, another node, or a failed
// handshake leads to the next address. An IP that the behavior refuses (compat.DialAdmission)
// is passed over. All of them together have Timeouts.Dial, divided evenly among those that are
// left.
func (t *Transport) Dial(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	return t.DialAs(ctx, addr, Identity{Key: t.key, NodeInfo: t.NodeInfo()}, behavior)
}

// DialAs is Dial under another identity, whose key this node has: the remote sees a peer
// with that ID, and that this node speaks for it. With the node's own key, or none, it is
// Dial with another NodeInfo.
func (t *Transport) DialAs(
	ctx context.Context, addr types.NetAddress, as Identity, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.tasks.Done()

	ctx, cancel := t.untilClose(ctx)
	defer cancel()
	addr.ID = addr.ID.Canonical() // the form in which nodes are compared
	p, err := t.dial(ctx, addr, as, behavior)
	if err == nil {
		return p, nil
	}
	if t.ctx.Err() != nil {
		return nil, compat.ErrTransportClosed
	}

	return nil, fmt.Errorf("unable to dial %s: %w", addr.String(), err)
}

func (t *Transport) dial(
	ctx context.Context, addr types.NetAddress, as Identity, behavior compat.PeerBehavior,
) (*Peer, error) {
	if as.Key == nil {
		as.Key = t.key
	}
	if len(as.Key) != ed25519.PrivateKeySize || as.NodeInfo.ID() != (types.NodeKey{PrivKey: as.Key}).ID() {
		return nil, errors.New("node info and key of the identity do not belong together")
	}
	if err := t.CheckDial(addr); err != nil {
		return nil, err
	}

	ctx = dialnames.WithAdmission(ctx, behavior)
	id, leave, err := t.firstContact(ctx, addr)
	if err != nil {
		id, err = t.lookUpRelayed(ctx, addr, err)
	}
	if err != nil {
		return nil, err
	}

	for attempt := 1; ; attempt++ {
		begun := time.Now()
		c, at, err := t.connectSomewhere(ctx, id, addr)
		leave()
		if err != nil {
			return nil, err
		}
		shared := t.shared(c, begun) // its last session may end right now
		p, err := t.openSession(ctx, c, at, as, behavior)
		if err == nil || !errors.Is(err, errConnLost) || !shared() || attempt == dialAttempts {
			return p, err
		}
	}
}

// CheckDial returns why Dial refuses an address before it connects to it, or nil: the ID is
// not valid or this node's own, or the ID or IP is blocked. The IP of a host name is checked
// only when it is dialed.
func (t *Transport) CheckDial(addr types.NetAddress) error {
	if err := addr.ID.Validate(); err != nil {
		return err
	}
	addr.ID = addr.ID.Canonical()
	if addr.ID == t.id {
		return compat.Reject(compat.RejectSelf, "address of this node")
	}
	if t.gater.blockedID(addr.ID) || addr.Hostname == "" && t.gater.blockedIP(netgroup.FromIP(addr.IP)) {
		return banned()
	}

	return nil
}

// connect returns a retained connection to the peer at this address: an open one, or a
// new one that was dialed to exactly there. The IPs of a host name share one dial timeout.
func (t *Transport) connect(ctx context.Context, id peer.ID, addr types.NetAddress) (network.Conn, error) {
	dialCtx, cancel := ctx, context.CancelFunc(func() {})
	if addr.Hostname != "" {
		dialCtx, cancel = context.WithTimeout(ctx, t.opts.timeouts.Dial)
	}
	defer cancel()
	c, err := dialnames.Dial(dialCtx, addr, func(ctx context.Context, at types.NetAddress) (network.Conn, error) {
		return t.connectAt(ctx, id, at)
	})
	if err != nil {
		return nil, err
	}
	if err := t.prove(ctx, c, addr); err != nil {
		t.release(c)

		return nil, err
	}

	return c, nil
}

// connectAt is connect at one IP, without the proof that the peer is there.
func (t *Transport) connectAt(ctx context.Context, id peer.ID, addr types.NetAddress) (network.Conn, error) {
	maddrs, err := t.opts.dialAddrs(addr.IP, addr.Port)
	if err != nil {
		return nil, err
	}
	c, err := t.dialPeer(ctx, id, maddrs, t.retain)
	if err != nil {
		return nil, dialError(addr, err)
	}

	return c, nil
}

// dialPeer returns a connection to the peer that keep, which is retain or hold, has kept. It
// dials these addresses, or those of the peerstore if there are none.
func (t *Transport) dialPeer(
	ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr, keep func(network.Conn) bool,
) (network.Conn, error) {
	for range dialAttempts {
		if addrs != nil {
			t.setAddrs(id, addrs)
		}
		done := t.gater.ask(id, addrs)
		c, err := t.host.Network().DialPeer(t.directly(ctx), id)
		done()
		if err != nil && t.ctx.Err() != nil { // the gater refuses every address by now
			return nil, compat.ErrTransportClosed
		}
		if err != nil {
			return nil, forbidden(err)
		}
		if keep(c) {
			return c, nil
		}
		if err := t.awaitClosed(ctx, c); err != nil {
			return nil, err
		}
	}

	return nil, errConnLost
}

// setAddrs makes these the only addresses at which libp2p dials the peer: it removes those
// that identify has told earlier, except those through relays (see relaysOf).
func (t *Transport) setAddrs(id peer.ID, addrs []multiaddr.Multiaddr) {
	ps := t.host.Peerstore()
	if t.host.Network().Connectedness(id) != network.Connected {
		for _, old := range ps.Addrs(id) {
			if !slices.ContainsFunc(addrs, old.Equal) && !isCircuit(old) {
				ps.SetAddr(id, old, 0)
			}
		}
		// The switch decides how long to wait after a failure.
		if s, ok := t.host.Network().(*swarm.Swarm); ok {
			s.Backoff().Clear(id)
		}
	}
	ps.AddAddrs(id, addrs, dialAddrTTL)
}

// dialError makes libp2p's error of a wrong peer ID a *compat.WrongIDError, and names the
// address in any other.
func dialError(addr types.NetAddress, err error) error {
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) {
		if wrong := checkFound(addr, mismatch.Actual); wrong != nil {
			return wrong
		}
	}

	return fmt.Errorf("%s: %w", addr.DialString(), err)
}

// forbidden marks a dial that this node's own bans or limits have refused. libp2p does not say
// whether it was a ban, or an address that only remotes have named.
func forbidden(err error) error {
	switch {
	case errors.Is(err, swarm.ErrGaterDisallowedConnection):
		return fmt.Errorf("%w: %w", compat.Reject(compat.RejectBanned, ""), err)
	case errors.Is(err, network.ErrResourceLimitExceeded):
		return fmt.Errorf("%w: %w", compat.ErrNoResources, err)
	default:
		return err
	}
}

// connectSomewhere is connect to the address, to other addresses of the peer if it is not
// there, and at last through relays. It returns the address at which the peer was found.
func (t *Transport) connectSomewhere(
	ctx context.Context, id peer.ID, addr types.NetAddress,
) (c network.Conn, at types.NetAddress, err error) {
	c, err = t.connect(ctx, id, addr)
	if err == nil {
		return c, addr, nil
	}
	for _, other := range t.alternatives(addr) {
		if ctx.Err() != nil {
			break
		}
		c, otherErr := t.connect(ctx, id, other)
		if otherErr == nil {
			t.logger.Info("peer is not at its address, found elsewhere",
				"id", addr.ID, "addr", addr.DialString(), "found", other.DialString(), "err", err)
			t.book.MarkDialFailed(&addr, err) // the caller hears of no failure

			return c, other, nil
		}
		if ctx.Err() == nil {
			t.book.MarkDialFailed(&other, otherErr)
		}
	}
	c, err = t.connectRelayed(ctx, id, addr, err)

	return c, addr, err
}
