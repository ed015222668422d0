package netgroup

import (
	"net"
	"net/netip"
)

// FromIP returns the address in its shortest form: an IPv4-mapped address as IPv4. The
// result for anything that is not an IP address is not valid.
func FromIP(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)

	return addr.Unmap()
}

// FromAddr returns the IP of a TCP or UDP address. The result for any other address,
// or one without an IP, is not valid.
func FromAddr(addr net.Addr) netip.Addr {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return FromIP(a.IP)
	case *net.UDPAddr:
		return FromIP(a.IP)
	default:
		return netip.Addr{}
	}
}

// Embedded returns the IPv4 address that an IPv6 address stands for, and any other
// address unchanged but without its zone. IPv4-mapped, IPv4-compatible and
// IPv4-translated addresses, NAT64 (RFC 6052), 6to4 (RFC 3056) and Teredo (RFC 4380)
// lead to a host that has an IPv4 address, and are judged by it. The beginning of ::/96
// holds none: 0.0.0.0/8 is no host's.
func Embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() || ip.IsUnspecified() || ip.IsLoopback() {
		return ip
	}
	b := ip.As16()
	switch {
	case compatible.Contains(ip) && b[12] != 0, translated.Contains(ip), nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case teredo.Contains(ip):
		// The client's address has its bits inverted (RFC 4380 section 4).
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	default:
		return ip
	}
}
