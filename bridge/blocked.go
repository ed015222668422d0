package bridge

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var errBlocked = errors.New("an operator has blocked the node or its IP ([p2p].blocked_peers, [p2p].blocked_ips)")

// blocks reports whether the ID, the IP, or the IPv4 address that the IP embeds is blocked.
func (l blocklist) blocks(id types.ID, ip netip.Addr) bool {
	embedded := netgroup.Embedded(ip)

	return slices.Contains(l.ids, id) || slices.ContainsFunc(l.networks, func(network netip.Prefix) bool {
		return network.Contains(ip) || network.Contains(embedded)
	})
}

// Blocks reports whether the configuration blocks the node or its IP, so that it is no target.
func (c Config) Blocks(addr types.NetAddress) bool {
	list := c.withDefaults().blocklist()

	return list.blocks(addr.ID.Canonical(), netgroup.FromIP(addr.IP))
}

// warnOfBlocked says which of the configured targets are none. c has its defaults, by which they
// are left out of its lists already.
func (c Config) warnOfBlocked(named []*types.NetAddress, logger *slog.Logger) {
	for _, addr := range named {
		if c.blocklist().blocks(addr.ID.Canonical(), netgroup.FromIP(addr.IP)) {
			logger.Warn("configured peer is no target, because it or its IP is blocked", "peer", addr.ID, "address", addr.DialString())
		}
	}
}

// blocks reports whether an operator has blocked the ID or the IP.
func (b *Bridge) blocks(id types.ID, ip netip.Addr) bool { return b.blocked().blocks(id, ip) }

// blocked returns what is blocked now.
func (b *Bridge) blocked() *blocklist { return cmp.Or(b.blocklist.Load(), &blocklist{}) }

// blocksTarget is blocks for a target, which may have a host name in place of an IP.
func (b *Bridge) blocksTarget(addr types.NetAddress) bool {
	return b.blocks(addr.ID, netgroup.FromIP(addr.IP))
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
