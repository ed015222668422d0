package netgroup

import "net/netip"

const (
	// A host has one IPv4 address. Whoever holds one address of an IPv6 /64 can use all
	// of them, so they count as one host.
	hostBits4 = 32
	hostBits6 = 64

	// A provider or an organisation has at least these networks: whoever holds one
	// address there can often have others.
	networkBits4 = 16
	networkBits6 = 32
)

// Host returns what counts as one remote host: a single IPv4 address, or the /64 of an
// IPv6 address. An IPv6 address that embeds an IPv4 address counts as that one. The
// result for an invalid address is not valid.
func Host(ip netip.Addr) netip.Prefix { return prefix(ip, hostBits4, hostBits6) }

// PublicHost is Host, but not valid for an address that IsLocal: many nodes may share one
// of these.
func PublicHost(ip netip.Addr) netip.Prefix {
	if IsLocal(ip) {
		return netip.Prefix{}
	}

	return Host(ip)
}

// Network returns the network that an address belongs to: the /16 of an IPv4 address,
// the /32 of an IPv6 address. Loopback, private and shared addresses have none, since
// all peers of a local network would be in one; nor has an invalid address.
func Network(ip netip.Addr) netip.Prefix {
	if IsLocal(ip) {
		return netip.Prefix{}
	}

	return prefix(ip, networkBits4, networkBits6)
}

func prefix(ip netip.Addr, bits4, bits6 int) netip.Prefix {
	ip = Embedded(ip)
	if !ip.IsValid() {
		return netip.Prefix{}
	}
	bits := bits6
	if ip.Is4() {
		bits = bits4
	}

	return netip.PrefixFrom(ip, bits).Masked()
}

// Name returns the prefix as people write it: a single address without its length.
func Name(prefix netip.Prefix) string {
	if prefix.IsValid() && prefix.IsSingleIP() {
		return prefix.Addr().String()
	}

	return prefix.String()
}
