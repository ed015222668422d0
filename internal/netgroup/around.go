package netgroup

import "net/netip"

const (
	// A site has at least these networks: the smallest block of IPv4 addresses that is
	// routed on its own, and what RFC 6177 gives a site of IPv6.
	siteBits4 = 24
	siteBits6 = 48
)

// Widths is how many networks Around returns.
const Widths = 3

// Around returns the networks around an address, the widest first: /16, /24 and the
// address itself for IPv4, /32, /48 and /64 for IPv6. The last one is its Host. They say
// which of many connections come from one place, so that a crowd can give way to others.
// Local addresses have them too, as crowding decides about order only. The networks of an
// invalid address are not valid.
func Around(ip netip.Addr) [Widths]netip.Prefix {
	return [...]netip.Prefix{
		prefix(ip, networkBits4, networkBits6),
		prefix(ip, siteBits4, siteBits6),
		Host(ip),
	}
}
