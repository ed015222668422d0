package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

var errBlocked = errors.New("an operator has blocked the node or its IP ([p2p].blocked_peers, [p2p].blocked_ips)")

// errBlockedPair ends the pair of a node that is blocked while it has one.
var errBlockedPair = compat.Reject(compat.RejectBanned, "%v", errBlocked)

// blocks reports whether the ID, the IP, or the IPv4 address that the IP embeds is blocked.
func (l blocklist) blocks(id types.ID, ip netip.Addr) bool {
	embedded := netgroup.Embedded(ip)

	return slices.Contains(l.ids, id) || slices.ContainsFunc(l.networks, func(network netip.Prefix) bool {
		return network.Contains(ip) || network.Contains(embedded)
	})
}

// blocksTarget is blocks for a target. Where a host name leads shows when it is dialed, and not by
// the IP that it had once.
func (l blocklist) blocksTarget(addr types.NetAddress) bool {
	var ip netip.Addr
	if addr.Hostname == "" {
		ip = netgroup.FromIP(addr.IP)
	}

	return l.blocks(addr.ID.Canonical(), ip)
}

// Blocks reports whether the configuration blocks the node or its IP, so that it is no target. Where
// a host name leads does not matter: that is looked up at each dial.
func (c Config) Blocks(addr types.NetAddress) bool {
	return c.withDefaults().blocklist().blocksTarget(addr)
}

// warnOfBlocked says which of the configured targets are not dialed. c has its defaults.
func (c Config) warnOfBlocked(logger *slog.Logger) {
	for _, addr := range slices.Concat(c.NativePeers, c.Libp2pPeers) {
		if c.Blocks(*addr) {
			logger.Warn("configured peer is no target, because it or its IP is blocked", "peer", addr.ID, "address", addr.DialString())
		}
	}
}

// blocks reports whether an operator has blocked the ID or the IP.
func (b *Bridge) blocks(id types.ID, ip netip.Addr) bool { return b.blocked().blocks(id, ip) }

// blocked returns what is blocked now.
func (b *Bridge) blocked() *blocklist { return cmp.Or(b.blocklist.Load(), &blocklist{}) }

func (b *Bridge) blocksTarget(addr types.NetAddress) bool { return b.blocked().blocksTarget(addr) }

// check reports whether the libp2p side can block as much.
func (l blocklist) check() error {
	if len(l.ids) > lp2p.MaxBlocked || len(l.networks) > lp2p.MaxBlocked {
		return fmt.Errorf("%w: BlockedPeers or BlockedIPs: %d IDs and %d networks, %d of each are the most",
			ErrInvalidConfig, len(l.ids), len(l.networks), lp2p.MaxBlocked)
	}

	return nil
}

// apply keeps what is blocked from the libp2p side before a handshake, and from being dialed
// there.
func (l blocklist) apply(side *lp2p.Transport) error {
	var errs []error
	for _, id := range l.ids {
		errs = append(errs, side.Block(id))
	}
	for _, network := range l.networks {
		errs = append(errs, side.BlockSubnet(ipNet(network)))
	}

	return errors.Join(errs...)
}

func ipNet(network netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen())}
}

// errBlockedIP ends a dial of a host name that leads to a blocked IP.
var errBlockedIP = compat.Reject(compat.RejectBanned, "an operator has blocked the IP to which the host name leads ([p2p].blocked_ips)")

// isOwnBlock reports whether the bridge itself refused to dial, since it blocks the IP.
func isOwnBlock(err error) bool {
	reject, ok := errors.AsType[*compat.RejectError](err)

	return ok && reject.Code == compat.RejectBanned && !reject.Remote
}

// dialSockets returns the sockets of dials of native nodes.
func (b *Bridge) dialSockets() compat.Sockets {
	sockets := b.config.Sockets
	if sockets == nil {
		sockets = socket.System{}
	}

	return unblockedSockets{sockets, b.blocks}
}

// unblockedSockets connect to no IP that the bridge blocks.
type unblockedSockets struct {
	compat.Sockets
	blocks func(types.ID, netip.Addr) bool
}

// DialContext implements compat.Sockets.
func (s unblockedSockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if at, err := netip.ParseAddrPort(address); err == nil && s.blocks("", at.Addr().Unmap()) {
		return nil, errBlockedIP
	}

	return s.Sockets.DialContext(ctx, network, address)
}
