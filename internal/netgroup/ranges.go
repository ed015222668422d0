package netgroup

import "net/netip"

// Kind is what an address is for, as far as it matters for dialing it.
type Kind uint8

const (
	// Public addresses are reachable from anywhere.
	Public Kind = iota
	// Loopback addresses mean the machine itself.
	Loopback
	// LinkLocal addresses mean a host on the same link, among them the metadata
	// services of clouds.
	LinkLocal
	// Private addresses mean a host of the same organisation (RFC 1918, RFC 4193).
	Private
	// Shared addresses mean a host behind the same carrier's NAT (RFC 6598).
	Shared
	// Reserved addresses are those of no host: unspecified, multicast, documentation,
	// benchmarking, and ranges that were given back or never given out.
	Reserved
)

// The ranges whose addresses embed an IPv4 address.
var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 section 2.5.5.1, deprecated
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// special lists what is not public. The first range that contains an address counts.
var special = []struct {
	prefix netip.Prefix
	kind   Kind
}{
	{netip.MustParsePrefix("0.0.0.0/8"), Reserved}, // this network, RFC 791
	{netip.MustParsePrefix("10.0.0.0/8"), Private},
	{netip.MustParsePrefix("100.64.0.0/10"), Shared},
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal}, // RFC 3927
	{netip.MustParsePrefix("172.16.0.0/12"), Private},
	{netip.MustParsePrefix("192.0.0.0/24"), Reserved},   // IETF protocol assignments, RFC 6890
	{netip.MustParsePrefix("192.0.2.0/24"), Reserved},   // documentation, RFC 5737
	{netip.MustParsePrefix("192.88.99.0/24"), Reserved}, // former 6to4 relays, RFC 7526
	{netip.MustParsePrefix("192.168.0.0/16"), Private},
	{netip.MustParsePrefix("198.18.0.0/15"), Reserved},   // benchmarking, RFC 2544
	{netip.MustParsePrefix("198.51.100.0/24"), Reserved}, // documentation, RFC 5737
	{netip.MustParsePrefix("203.0.113.0/24"), Reserved},  // documentation, RFC 5737
	{netip.MustParsePrefix("224.0.0.0/4"), Reserved},     // multicast
	{netip.MustParsePrefix("240.0.0.0/4"), Reserved},     // RFC 1112, and broadcast

	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("::/96"), Reserved},          // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("64:ff9b:1::/48"), Reserved}, // local NAT64, RFC 8215: leads elsewhere on each network
	{netip.MustParsePrefix("100::/64"), Reserved},       // discard, RFC 6666
	{netip.MustParsePrefix("100:0:0:1::/64"), Reserved}, // dummy prefix, RFC 9780
	{netip.MustParsePrefix("2001::/23"), Reserved},      // IETF protocol assignments, ORCHID (RFC 4843, RFC 7343)
	{netip.MustParsePrefix("2001:db8::/32"), Reserved},  // documentation, RFC 3849
	{netip.MustParsePrefix("3fff::/20"), Reserved},      // documentation, RFC 9637
	{netip.MustParsePrefix("5f00::/16"), Reserved},      // segment routing, RFC 9602
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("fe80::/10"), LinkLocal},
	{netip.MustParsePrefix("fec0::/10"), Reserved}, // former site-local, RFC 3879
	{netip.MustParsePrefix("ff00::/8"), Reserved},  // multicast
}

// KindOf returns the kind of an address, or Reserved for one that is not valid. An
// address that embeds an IPv4 address is of that one's kind.
func KindOf(ip netip.Addr) Kind {
	ip = Embedded(ip)
	if !ip.IsValid() {
		return Reserved
	}
	for _, s := range special {
		if s.prefix.Contains(ip) {
			return s.kind
		}
	}

	return Public
}

// IsLocal reports whether the address means something only nearby: loopback,
// link-local, private and shared addresses.
func IsLocal(ip netip.Addr) bool {
	switch KindOf(ip) {
	case Loopback, LinkLocal, Private, Shared:
		return true
	default:
		return false
	}
}
