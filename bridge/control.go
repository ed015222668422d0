package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// What Connect, Block and Forget refuse.
var (
	// ErrUnknownPeer is returned by Forget for a node that is no target.
	ErrUnknownPeer = errors.New("the bridge has no such target")
	// ErrInvalidPeer is wrapped by errors about an ID or an address that cannot be used.
	ErrInvalidPeer = errors.New("names no node that the bridge can use")
	// ErrInvalidSide is wrapped by errors about a side that is neither native nor libp2p.
	ErrInvalidSide = errors.New("the side is neither native nor libp2p")
)

// Connect makes a node a configured target of a side, InitiatorNative or InitiatorLibp2p, or
// changes its address, until the next Reload that does not have it. A node is paired with it
// when one dials the bridge. The error wraps ErrInvalidPeer or ErrInvalidSide.
func (b *Bridge) Connect(side string, addr types.NetAddress) error {
	addr.ID = addr.ID.Canonical()
	if err := checkPeers([]*types.NetAddress{&addr}); err != nil {
		return fmt.Errorf("%q %w: %w", addr.String(), ErrInvalidPeer, err)
	}
	ts, err := b.targetsOf(side)
	if err != nil {
		return err
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	switch {
	case b.isOwn(addr.ID):
		return fmt.Errorf("%q %w: it is the bridge itself", addr.String(), ErrInvalidPeer)
	case b.blocksTarget(addr):
		return fmt.Errorf("%q %w: it is blocked", addr.String(), ErrInvalidPeer)
	}
	own := slices.DeleteFunc(ts.peers(), func(other *types.NetAddress) bool { return other.ID == addr.ID })
	b.configure(ts, append(own, &addr))
	ts.appeared(addr.ID, true, false)
	b.tell("target added", "side", side, "peer", addr.String())

	return nil
}

// Forget takes a node out of the targets of both sides, and out of the address book. Its pairs
// stay. What names it later makes it a target again. It returns ErrUnknownPeer if the node is
// no target.
func (b *Bridge) Forget(id types.ID) error {
	id = id.Canonical()
	b.changing.Lock()
	defer b.changing.Unlock()
	known := len(b.book.Of(id)) > 0
	for _, ts := range []*targets{b.nativeTargets, b.libp2pTargets} {
		before := ts.peers()
		after := slices.DeleteFunc(slices.Clone(before), func(addr *types.NetAddress) bool { return addr.ID == id })
		known = known || len(after) < len(before)
		b.configure(ts, after)
	}
	b.book.Forget(id)
	if !known {
		return fmt.Errorf("%w: %s", ErrUnknownPeer, id)
	}
	b.tell("target forgotten", "peer", id)

	return nil
}

// Block refuses a node from now on, as Config.BlockedPeers does, and ends its pairs. The error
// wraps ErrInvalidPeer, or says that too many nodes are blocked; nothing has changed then.
func (b *Bridge) Block(id types.ID) error {
	id = id.Canonical()
	if err := id.Validate(); err != nil {
		return fmt.Errorf("%q %w: %w", id, ErrInvalidPeer, err)
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	now := *b.blocked()
	if slices.Contains(now.ids, id) {
		return nil
	}
	now.ids = append(slices.Clone(now.ids), id)
	if err := b.setBlocked(now); err != nil {
		return err
	}
	b.tell("peer blocked", "peer", id)

	return nil
}

// Unblock undoes Block and reports whether the node was blocked.
func (b *Bridge) Unblock(id types.ID) bool {
	id = id.Canonical()
	b.changing.Lock()
	defer b.changing.Unlock()
	now := *b.blocked()
	if !slices.Contains(now.ids, id) {
		return false
	}
	now.ids = slices.DeleteFunc(slices.Clone(now.ids), func(other types.ID) bool { return other == id })
	if err := b.setBlocked(now); err != nil {
		b.logger.Warn("peer was unblocked on one side only", "peer", id, "err", err)
	}
	b.tell("peer unblocked", "peer", id)

	return true
}

// Reload replaces the configured targets of both sides and what is blocked by those of the
// configuration. Pairs stay, unless a node of theirs is blocked now. Other fields count at the
// next start only. An error wraps ErrInvalidConfig, and nothing has changed then.
func (b *Bridge) Reload(config Config) error {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return err
	}
	for _, addr := range slices.Concat(config.NativePeers, config.Libp2pPeers) {
		if b.isOwn(addr.ID) {
			return fmt.Errorf("%w: peer %s is the bridge itself", ErrInvalidConfig, addr)
		}
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.setBlocked(config.blocklist()); err != nil {
		return err // only what Validate has seen already
	}
	b.configure(b.nativeTargets, config.NativePeers)
	b.configure(b.libp2pTargets, config.Libp2pPeers)
	config.warnOfBlocked(b.logger)
	b.tell("peers reloaded", "native", len(config.NativePeers), "libp2p", len(config.Libp2pPeers),
		"blocked", len(config.BlockedPeers)+len(config.BlockedIPs))

	return nil
}

// tell logs what an operator has changed, and notes it for the status.
func (b *Bridge) tell(what string, args ...any) {
	b.logger.Info(what, args...)
	text := what
	for i := 0; i+1 < len(args); i += 2 {
		text += fmt.Sprintf(" %v=%v", args[i], args[i+1])
	}
	b.journal.operator(text)
}

func (b *Bridge) targetsOf(side string) (*targets, error) {
	switch side {
	case InitiatorNative:
		return b.nativeTargets, nil
	case InitiatorLibp2p:
		return b.libp2pTargets, nil
	default:
		return nil, fmt.Errorf("%w: %q", ErrInvalidSide, side)
	}
}

// configure replaces the configured targets of a side, and tells the book, which the libp2p
// transport reads. The caller holds changing.
func (b *Bridge) configure(ts *targets, addrs []*types.NetAddress) {
	ts.inUse.mtx.Lock()
	former := ts.configured
	ts.configured = addrs
	ts.inUse.mtx.Unlock()
	b.shareSlots()
	if ts != b.libp2pTargets {
		return
	}
	for _, addr := range former {
		b.book.Configure(addr.ID)
	}
	for _, addr := range addrs {
		b.book.Configure(addr.ID, *addr)
	}
}

// configuredPeers returns the configured targets of both sides that are not blocked.
func (b *Bridge) configuredPeers() []*types.NetAddress {
	return slices.Concat(b.nativeTargets.open(), b.libp2pTargets.open())
}

// isOwn reports whether the ID is one of the bridge's identities.
func (b *Bridge) isOwn(id types.ID) bool {
	return slices.Contains(b.own, id)
}

// shareSlots gives the nodes of one side all slots if those of the other get no pairs.
func (b *Bridge) shareSlots() {
	native, libp2p := len(b.nativeTargets.open()), len(b.libp2pTargets.open())
	b.slots.share(native == 0 || libp2p == 0 && b.config.OnlyConfigured)
}

// peers returns the configured targets in a fresh slice.
func (ts *targets) peers() []*types.NetAddress {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()

	return slices.Clone(ts.configured)
}

// open returns the configured targets that are not blocked.
func (ts *targets) open() []*types.NetAddress {
	return slices.DeleteFunc(ts.peers(), func(addr *types.NetAddress) bool { return ts.blocked(*addr) })
}

// at returns where the configured target is now, or nil.
func (ts *targets) at(id types.ID) *types.NetAddress {
	peers := ts.peers()
	if i := slices.IndexFunc(peers, func(addr *types.NetAddress) bool { return addr.ID.Canonical() == id }); i >= 0 {
		return peers[i]
	}

	return nil
}

// blocklist is what an operator has blocked. It is replaced, never changed.
type blocklist struct {
	ids      []types.ID
	networks []netip.Prefix
}

// setBlocked replaces what is blocked, on the libp2p side too. It ends the pairs of nodes that
// are blocked now, and the tunnels of blocked IPs and libp2p nodes, and those that lead to blocked
// native nodes. The caller holds changing. An error is that of blocklist.check, and nothing has
// changed then: nobody else changes what the libp2p side blocks, so a list that fits does so there.
func (b *Bridge) setBlocked(now blocklist) error {
	if err := now.check(); err != nil {
		return err
	}
	before := b.blocklist.Swap(&now)
	for _, p := range b.slots.live() {
		b.endIfBlocked(p) // before the transport ends its session, which would look like the node's doing
	}
	if side := b.libp2p.Load(); side != nil {
		ids, networks := side.Blocked()
		for _, id := range ids {
			if !slices.Contains(now.ids, id) {
				side.Unblock(id)
			}
		}
		for _, network := range networks {
			if !slices.Contains(now.networks, network) {
				side.UnblockSubnet(ipNet(network))
			}
		}
		if err := now.apply(side); err != nil {
			b.blocklist.Store(before)

			return err
		}
	}
	b.shareSlots()
	if server := b.tunnels.Load(); server != nil {
		server.EndBlocked()
	}

	return nil
}

// endIfBlocked ends a pair that is up if one of its nodes is blocked. Each pair is checked when
// it comes up, too: its nodes may have been blocked while it was made.
func (b *Bridge) endIfBlocked(p *pair) {
	for _, s := range []*side{p.native, p.libp2p} {
		if b.blocks(s.peer.ID(), netgroup.FromAddr(s.peer.RemoteAddr())) {
			p.end(nil, errBlockedPair)
		}
	}
}
