package bridge

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var errBlocked = errors.New("an operator has blocked the node or its IP ([p2p].blocked_peers, [p2p].blocked_ips)")

// blocks reports whether an operator has blocked the ID, the IP, or the IPv4 address that the
// IP embeds.
func (c Config) blocks(id types.ID, ip netip.Addr) bool {
	embedded := netgroup.Embedded(ip)

	return slices.Contains(c.BlockedPeers, id) || slices.ContainsFunc(c.BlockedIPs, func(network netip.Prefix) bool {
		return network.Contains(ip) || network.Contains(embedded)
	})
}

// block keeps what is blocked from the libp2p side before a handshake, and from being dialed
// there.
func (c Config) block(side *lp2p.Transport) error {
	var errs []error
	for _, id := range c.BlockedPeers {
		errs = append(errs, side.Block(id))
	}
	for _, network := range c.BlockedIPs {
		errs = append(errs, side.BlockSubnet(&net.IPNet{
			IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen()),
		}))
	}

	return errors.Join(errs...)
}
