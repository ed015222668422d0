package proxied

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Networks are those of the proxies in front of a listener. Each connection from there must
// begin with a PROXY header, and nobody else can name an address.
type Networks []netip.Prefix

// Validate names a network that is not valid, or of IPv4-mapped IPv6 addresses: IPv4
// addresses are compared with IPv4 networks only.
func (n Networks) Validate() error {
	for _, network := range n {
		if !network.IsValid() || network.Addr().Is4In6() {
			return fmt.Errorf("%v is not an IPv4 or IPv6 network", network)
		}
	}

	return nil
}

// Contain reports whether a connection from the address must begin with a PROXY header.
func (n Networks) Contain(addr net.Addr) bool {
	ip := netgroup.FromAddr(addr)

	return slices.ContainsFunc(n, func(network netip.Prefix) bool { return network.Contains(ip) })
}
