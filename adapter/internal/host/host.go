// Package host tells what counts as one remote host.
package host

import (
	"net"
	"net/netip"
)

// ipv6Bits is the part of an IPv6 address that its holder cannot choose: a host
// has all addresses of its network.
const ipv6Bits = 64

// Of returns the host behind an IP: an IPv4 address, mapped to IPv6 or not, or
// the /64 network of an IPv6 address. The prefix of what is no IP is not valid.
func Of(ip net.IP) netip.Prefix {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}
	}
	addr = addr.Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Bits
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}

	return prefix
}

// Name is the prefix as people write it: an IPv4 address without its length.
func Name(prefix netip.Prefix) string {
	if prefix.IsValid() && prefix.IsSingleIP() {
		return prefix.Addr().String()
	}

	return prefix.String()
}
