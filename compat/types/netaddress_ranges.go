package types

import (
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Address ranges, named after the RFC that reserves them.
var (
	rfc1918 = []netip.Prefix{ // IPv4 private networks
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
	rfc3849 = netip.MustParsePrefix("2001:db8::/32")   // IPv6 documentation
	rfc3927 = netip.MustParsePrefix("169.254.0.0/16")  // IPv4 link local
	rfc3964 = netip.MustParsePrefix("2002::/16")       // 6to4
	rfc4193 = netip.MustParsePrefix("fc00::/7")        // IPv6 unique local
	rfc4380 = netip.MustParsePrefix("2001::/32")       // Teredo
	rfc4843 = netip.MustParsePrefix("2001:10::/28")    // ORCHID
	rfc4862 = netip.MustParsePrefix("fe80::/64")       // IPv6 link local
	rfc6052 = netip.MustParsePrefix("64:ff9b::/96")    // NAT64 well-known prefix
	rfc6145 = netip.MustParsePrefix("::ffff:0:0:0/96") // IPv4-translated
	thisNet = netip.MustParsePrefix("0.0.0.0/8")       // IPv4 "this network"
)

// in reports whether the IP lies in the range; IPv4-mapped IPv6 counts as IPv4.
func (na *NetAddress) in(prefix netip.Prefix) bool {
	return na != nil && prefix.Contains(netgroup.FromIP(na.IP))
}

// Routable reports whether the address is valid and may be reachable from
// anywhere: not private, link local, unique local, ORCHID or loopback.
func (na *NetAddress) Routable() bool {
	return na.Validate() == nil &&
		!(na.RFC1918() || na.RFC3927() || na.RFC4862() || na.RFC4193() || na.RFC4843() || na.Local())
}

// Dialable reports whether the address can be dialed from some place: it is valid, has a
// port, and its IP is neither reserved, multicast nor link-local. Private and loopback
// addresses count, since they can be dialed from the same network or machine.
func (na *NetAddress) Dialable() bool {
	return na.Validate() == nil && na.Port != 0 && netgroup.IsDialable(netgroup.FromIP(na.IP))
}

// Local reports whether the IP is a loopback address or in 0.0.0.0/8.
func (na *NetAddress) Local() bool {
	return na != nil && (na.IP.IsLoopback() || na.in(thisNet))
}

// RFC1918 reports whether the IP is in an IPv4 private network.
func (na *NetAddress) RFC1918() bool {
	return slices.ContainsFunc(rfc1918, na.in)
}

// RFC3849 reports whether the IP is in the IPv6 documentation range, 2001:db8::/32.
func (na *NetAddress) RFC3849() bool { return na.in(rfc3849) }

// RFC3927 reports whether the IP is IPv4 link local, 169.254.0.0/16.
func (na *NetAddress) RFC3927() bool { return na.in(rfc3927) }

// RFC3964 reports whether the IP is a 6to4 address, 2002::/16.
func (na *NetAddress) RFC3964() bool { return na.in(rfc3964) }

// RFC4193 reports whether the IP is IPv6 unique local, fc00::/7.
func (na *NetAddress) RFC4193() bool { return na.in(rfc4193) }

// RFC4380 reports whether the IP is a Teredo address, 2001::/32.
func (na *NetAddress) RFC4380() bool { return na.in(rfc4380) }

// RFC4843 reports whether the IP is an ORCHID identifier, 2001:10::/28.
func (na *NetAddress) RFC4843() bool { return na.in(rfc4843) }

// RFC4862 reports whether the IP is IPv6 link local, fe80::/64.
func (na *NetAddress) RFC4862() bool { return na.in(rfc4862) }

// RFC6052 reports whether the IP has the NAT64 well-known prefix, 64:ff9b::/96.
func (na *NetAddress) RFC6052() bool { return na.in(rfc6052) }

// RFC6145 reports whether the IP is IPv4-translated, ::ffff:0:0:0/96.
func (na *NetAddress) RFC6145() bool { return na.in(rfc6145) }
