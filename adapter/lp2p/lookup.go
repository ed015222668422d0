package lp2p

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// NodeInfo returns what this node tells of itself. The caller must not change
// what it points to.
func (t *Transport) NodeInfo() types.NodeInfo { return t.localNodeInfo() }

// PeerID returns the peer ID behind a TM2 ID if the transport has learned it.
func (t *Transport) PeerID(id types.ID) (peer.ID, bool) { return t.knownPeer(id) }

// Learn remembers the peer ID behind a TM2 ID, which it returns, so that a dial
// needs no probe. It fails for a peer without a TM2 ID (see [TM2ID]).
func (t *Transport) Learn(p peer.ID) (types.ID, error) {
	id, err := TM2ID(p)
	if err != nil {
		return "", err
	}
	t.learn(id, p)

	return id, nil
}

// Resolve returns the libp2p identity and addresses behind a TM2 address: the peer
// ID that is known, or that of who answers there, and where libp2p dials it, a host
// name looked up. Its errors are those of Dial before there is a connection.
func (t *Transport) Resolve(ctx context.Context, addr types.NetAddress) (peer.AddrInfo, error) {
	if err := t.enter(); err != nil {
		return peer.AddrInfo{}, err
	}
	defer t.tasks.Done()

	id, err := t.lookUp(ctx, addr)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	maddrs, err := t.dialMultiaddrs(ctx, addr)
	if err != nil {
		return peer.AddrInfo{}, err
	}

	return peer.AddrInfo{ID: id, Addrs: maddrs}, nil
}

// IsPrivatePeer reports whether the switch that accepts from this transport does
// not want the peer to be told to others. Before the first Accept nobody is
// private.
func (t *Transport) IsPrivatePeer(id types.ID) bool {
	behavior := t.served.Load()

	return behavior != nil && (*behavior).IsPrivatePeer(id)
}

// PeerID returns the libp2p identity of the connection: the peer's own, or, for a
// delegated peer, that of the node that speaks for it.
func (p *Peer) PeerID() peer.ID { return p.s.conn.RemotePeer() }

// Connect returns an open connection to the peer for something that is no session,
// and a function that gives it back, which is called once. Without a connection
// libp2p dials what the host's peerstore has, but through no relay; ctx and the dial
// timeout bound that.
//
// A connection that this node has opened is closed when all have given it back and
// no session is left. Holding it does not protect it from the connection manager.
func (t *Transport) Connect(ctx context.Context, p peer.ID) (network.Conn, func(), error) {
	if err := t.enter(); err != nil {
		return nil, nil, err
	}
	defer t.tasks.Done()

	for range dialAttempts {
		c, err := t.host.Network().DialPeer(t.directly(ctx), p)
		if err != nil {
			return nil, nil, fmt.Errorf("unable to connect to %s: %w", p, err)
		}
		if t.hold(c) {
			return c, func() { t.release(c) }, nil
		}
		if err := t.awaitClosed(ctx, c); err != nil {
			return nil, nil, err
		}
	}

	return nil, nil, errConnLost
}

// Hold is Connect for a connection that is open, as that of an inbound stream:
// sessions that end on it do not close it until it is given back. It returns false
// when the connection is being closed.
func (t *Transport) Hold(c network.Conn) (release func(), ok bool) {
	if !t.hold(c) {
		return nil, false
	}

	return func() { t.release(c) }, true
}

// connectSomewhere is connect, and tries where the peer is said to be now when it
// is not at the address. It returns where it was found.
func (t *Transport) connectSomewhere(
	ctx context.Context, id peer.ID, addr types.NetAddress,
) (c network.Conn, at types.NetAddress, err error) {
	c, err = t.connect(ctx, id, addr)
	if err == nil {
		return c, addr, nil
	}
	for _, other := range t.suggested.of(addr.ID) {
		if ctx.Err() != nil {
			break
		}
		if other.Equals(addr) {
			continue
		}
		c, otherErr := t.connect(ctx, id, other)
		if otherErr == nil {
			t.logger.Info("peer is not at its address, found elsewhere",
				"id", addr.ID, "addr", addr.DialString(), "found", other.DialString(), "err", err)

			return c, other, nil
		}
	}
	c, err = t.connectRelayed(ctx, id, addr, err)

	return c, addr, err
}

// Suggest tells where a peer may be reached beside the addresses that are dialed:
// Dial tries these when it does not find the peer at the address it is given, as a
// persistent peer that has moved. All of the addresses have one ID, and replace
// what was suggested for it before; 4 are kept, for 1024 peers. None forgets them.
func (t *Transport) Suggest(id types.ID, addrs ...types.NetAddress) {
	kept := make([]types.NetAddress, 0, maxSuggested)
	for _, addr := range addrs {
		if addr.ID == id && addr.IP != nil && len(kept) < maxSuggested {
			kept = append(kept, types.NetAddress{ID: id, IP: slices.Clone(addr.IP), Port: addr.Port})
		}
	}
	t.suggested.set(id, kept)
}
