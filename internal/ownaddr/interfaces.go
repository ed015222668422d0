package ownaddr

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Public returns those of the addresses of network interfaces (see net.InterfaceAddrs) that
// are public IPs, IPv4 first. A machine behind a NAT has none.
func Public(interfaces []net.Addr) (public []netip.Addr) {
	for _, addr := range interfaces {
		network, ok := addr.(*net.IPNet)
		if !ok {
			continue
		}
		if ip := netgroup.FromIP(network.IP); netgroup.KindOf(ip) == netgroup.Public {
			public = append(public, ip)
		}
	}
	slices.SortFunc(public, netip.Addr.Compare)

	return public
}
