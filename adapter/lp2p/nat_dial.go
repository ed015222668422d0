package lp2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// ErrOnlyRelayed is wrapped by the error of Dial when the remote was met at a relay, but
// no direct connection to it was made (see WithHolePunching).
var ErrOnlyRelayed = errors.New("remote is reached through a relay only")

const (
	// punchReady bounds the wait of a dial until hole punching can begin: libp2p checks
	// every 5 seconds whether the node knows a public address of its own.
	punchReady = 6 * time.Second
	// directAttempts is how many connection attempts, each of at most Timeouts.Dial,
	// the remote may make until the connection is direct: to our address, and then
	// three times together with us (DCUtR specification).
	directAttempts = 1 + 3
)

// isCircuit reports whether an address is one through a relay.
func isCircuit(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)

	return err == nil
}

// punchFilter selects the addresses for hole punching.
type punchFilter struct{}

var _ holepunch.AddrFilter = punchFilter{}

// FilterLocal implements holepunch.AddrFilter: all addresses of this node are told.
func (punchFilter) FilterLocal(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return addrs
}

// FilterRemote implements holepunch.AddrFilter. Only public addresses mean the same to both
// sides, since the relay hides in which network the remote is.
func (punchFilter) FilterRemote(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return multiaddr.FilterAddrs(addrs, func(a multiaddr.Multiaddr) bool {
		return netgroup.KindOf(ipOf(a)) == netgroup.Public
	})
}

// directly returns a context for a dial through no relay, within the dial timeout. A host
// without relays is not asked for a direct dial, during which libp2p may panic when the host
// closes (see gater.close).
func (t *Transport) directly(ctx context.Context) context.Context {
	ctx = network.WithDialPeerTimeout(ctx, t.opts.timeouts.Dial)
	if t.opts.nat.circuits {
		ctx = network.WithForceDirectDial(ctx, "sessions are direct")
	}

	return ctx
}

// RelayedAddresses returns the TM2 addresses of this node through relays: its ID with the
// IP and port of each relay where it has a reservation now. Nodes that have WithRelayClient
// or WithHolePunching reach it there.
func (t *Transport) RelayedAddresses() []types.NetAddress {
	var addrs []types.NetAddress
	for _, a := range t.host.Addrs() {
		if !isCircuit(a) {
			continue
		}
		at, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Code() == multiaddr.P_P2P })
		ip, port, ok := p2paddr.Endpoint(at)
		addr := types.NetAddress{ID: t.id, IP: ip, Port: port}
		if ok && !slices.ContainsFunc(addrs, addr.Equals) {
			addrs = append(addrs, addr)
		}
	}

	return addrs
}

// lookUpRelayed returns the peer ID behind the address's TM2 ID if the look-up has found a
// relay at the address, and the relay knows the node. Otherwise it returns the error of the
// look-up.
func (t *Transport) lookUpRelayed(ctx context.Context, addr types.NetAddress, cause error) (peer.ID, error) {
	relay, found := foundInstead(cause)
	if !t.opts.nat.circuits || !found {
		return "", cause
	}
	maddrs, err := t.dialMultiaddrs(ctx, addr)
	if err != nil {
		return "", cause
	}
	c, release, err := t.connectRelay(ctx, peer.AddrInfo{ID: relay, Addrs: maddrs})
	if err != nil {
		return "", cause
	}
	defer release()
	id, err := t.askRelay(ctx, c, addr.ID)
	if err != nil {
		t.logger.Debug("node at the address is no relay for the peer", "id", addr.ID, "addr", addr.DialString(), "err", err)

		return "", cause
	}
	_, err = p2paddr.Learn(t.book, id)

	return id, err
}

// foundInstead returns the libp2p peer that answered in place of the one dialed.
func foundInstead(cause error) (peer.ID, bool) {
	var wrong *compat.WrongIDError
	if !errors.As(cause, &wrong) {
		return "", false
	}
	id, err := peer.Decode(wrong.FoundPeer)

	return id, err == nil
}

func (t *Transport) connectRelay(ctx context.Context, relay peer.AddrInfo) (network.Conn, func(), error) {
	t.host.Peerstore().AddAddrs(relay.ID, relay.Addrs, dialAddrTTL)

	return inner{t}.Connect(ctx, relay.ID)
}

// connectRelayed returns a retained direct connection to a peer that was not reached
// at its address, after meeting it at a relay. Without a relay it returns the error
// of the attempt.
func (t *Transport) connectRelayed(
	ctx context.Context, id peer.ID, addr types.NetAddress, cause error,
) (network.Conn, error) {
	if !t.opts.nat.circuits || ctx.Err() != nil {
		return nil, cause
	}
	for _, r := range t.relaysOf(ctx, id, addr, cause) {
		c, err := t.meet(ctx, id, r)
		if err == nil {
			t.logger.Info("peer was met at a relay", "id", addr.ID, "relay", r.ID, "addr", c.RemoteMultiaddr())

			return c, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrOnlyRelayed) {
			return nil, err
		}
		cause = fmt.Errorf("%w; through relay %s: %w", cause, r.ID, err)
	}

	return nil, cause
}

// maxRelaysTried bounds the relays that one dial tries.
const maxRelaysTried = 4

// relaysOf returns relays through which the peer may be reached: the node that answers at
// the peer's address, and the public ones of which the peer has told this node.
func (t *Transport) relaysOf(ctx context.Context, id peer.ID, addr types.NetAddress, cause error) []peer.AddrInfo {
	var relays []peer.AddrInfo
	add := func(relay peer.ID, at ...multiaddr.Multiaddr) {
		i := slices.IndexFunc(relays, func(r peer.AddrInfo) bool { return r.ID == relay })
		switch {
		case i >= 0:
			relays[i].Addrs = append(relays[i].Addrs, at...)
		case relay != t.host.ID() && relay != id && len(relays) < maxRelaysTried:
			relays = append(relays, peer.AddrInfo{ID: relay, Addrs: at})
		}
	}

	if relay, found := foundInstead(cause); found {
		if maddrs, err := t.dialMultiaddrs(ctx, addr); err == nil {
			add(relay, maddrs...)
		}
	}
	for _, a := range t.host.Peerstore().Addrs(id) {
		if !isCircuit(a) || netgroup.KindOf(ipOf(a)) != netgroup.Public {
			continue
		}
		via, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Code() == multiaddr.P_CIRCUIT })
		if info, err := peer.AddrInfoFromP2pAddr(via); err == nil && len(info.Addrs) == 1 {
			add(info.ID, info.Addrs[0])
		}
	}

	return relays
}

// circuitsThrough returns the addresses of a peer through a relay.
func circuitsThrough(relay peer.AddrInfo) ([]multiaddr.Multiaddr, error) {
	circuit, err := multiaddr.NewMultiaddr("/p2p/" + relay.ID.String() + "/p2p-circuit")
	if err != nil {
		return nil, err
	}
	var circuits []multiaddr.Multiaddr
	for _, at := range relay.Addrs {
		circuits = append(circuits, at.Encapsulate(circuit))
	}

	return circuits, nil
}

// meet connects to the peer through the relay, and waits for the direct connection that the
// peer then makes, or both by hole punching. It returns the direct connection, retained.
func (t *Transport) meet(ctx context.Context, id peer.ID, relay peer.AddrInfo) (network.Conn, error) {
	circuits, err := circuitsThrough(relay)
	if err != nil {
		return nil, err
	}
	_, releaseRelay, err := t.connectRelay(ctx, relay)
	if err != nil {
		return nil, err
	}
	defer releaseRelay()
	t.awaitPunching(ctx)

	direct := make(chan network.Conn, 1)
	connected := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if c.RemotePeer() != id || isCircuit(c.RemoteMultiaddr()) {
			return
		}
		select {
		case direct <- c:
		default:
		}
	}}
	t.host.Network().Notify(connected)
	defer t.host.Network().StopNotify(connected)

	t.setAddrs(id, circuits)
	dialCtx := network.WithDialPeerTimeout(network.WithAllowLimitedConn(ctx, "meeting at a relay"), t.opts.timeouts.Dial)
	c, err := t.host.Network().DialPeer(dialCtx, id)
	if err != nil {
		return nil, fmt.Errorf("unable to reach the peer: %w", err)
	}
	if !isCircuit(c.RemoteMultiaddr()) {
		return t.keepDirect(c)
	}
	if t.hold(c) {
		defer t.release(c)
	}

	timer := time.NewTimer(directAttempts * t.opts.timeouts.Dial)
	defer timer.Stop()
	select {
	case c := <-direct:
		return t.keepDirect(c)
	case <-timer.C:
		return nil, fmt.Errorf("%w: no direct connection within %s", ErrOnlyRelayed, directAttempts*t.opts.timeouts.Dial)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrOnlyRelayed, ctx.Err())
	}
}

// keepDirect retains a direct connection that was made after a meeting.
func (t *Transport) keepDirect(c network.Conn) (network.Conn, error) {
	if !t.retain(c) {
		return nil, errConnLost
	}
	t.mtx.Lock()
	t.conns[c].met = true
	t.mtx.Unlock()

	return c, nil
}

// met reports whether the connection was made after a meeting at a relay. Then its remote
// address is open for this node only, and the address of the relay is the one to dial.
func (t *Transport) met(c network.Conn) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	ref := t.conns[c]

	return ref != nil && ref.met
}

// awaitPunching waits until libp2p supports the protocol of hole punching, which needs a
// public address of this node, such as the one that the relay sees. A remote that finds no
// support does not try again.
func (t *Transport) awaitPunching(ctx context.Context) {
	if !t.opts.nat.holePunching {
		return
	}
	protocols, err := t.host.EventBus().Subscribe(
		new(event.EvtLocalProtocolsUpdated), eventbus.Name("tm2 hole punching"))
	if err != nil {
		t.logger.Warn("unable to wait for hole punching", "err", err)

		return
	}
	defer protocols.Close()
	timer := time.NewTimer(punchReady)
	defer timer.Stop()
	for !slices.Contains(t.host.Mux().Protocols(), holepunch.Protocol) {
		select {
		case <-protocols.Out():
		case <-timer.C:
			return // a public remote needs no hole
		case <-ctx.Done():
			return
		}
	}
}
