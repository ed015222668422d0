package ownaddr

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Public returns those of the addresses of network interfaces (see net.InterfaceAddrs) that
// are public IPs, IPv4 first. A machine behind a NAT has none.
func Public(interfaces []net.Addr) []netip.Addr {
	return chosen(interfaces, func(ip netip.Addr) bool { return netgroup.KindOf(ip) == netgroup.Public })
}

// Local returns those that mean something nearby only (netgroup.IsLocal), IPv4 first, or none if any
// is public.
func Local(interfaces []net.Addr) []netip.Addr {
	if len(Public(interfaces)) > 0 {
		return nil
	}

	return chosen(interfaces, netgroup.IsLocal)
}

func chosen(interfaces []net.Addr, is func(netip.Addr) bool) (list []netip.Addr) {
	for _, addr := range interfaces {
		network, ok := addr.(*net.IPNet)
		if !ok {
			continue
		}
		if ip := netgroup.FromIP(network.IP); is(ip) {
			list = append(list, ip)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)

	return list
}
