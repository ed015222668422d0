package netgroup

import "net/netip"

// MayDial reports whether a node may dial an address that a remote has told. From is
// the IP that the remote is connected from, and own the IP that this node announces
// (invalid or unspecified when it announces none).
//
//   - A public address may be dialed whoever tells it.
//   - A loopback address may be dialed if the remote is on loopback too.
//   - A private or shared address may be dialed if the remote is on an address of the
//     same kind, and so is this node. The remote's address alone proves nothing: behind
//     the NAT of a container or a cloud every stranger seems to come from a private one.
//   - Link-local and reserved addresses are never dialed.
func MayDial(ip, from, own netip.Addr) bool {
	kind := KindOf(ip)

	return MayTell(ip, from) && (kind == Public || kind == Loopback || KindOf(own) == kind)
}

// MayTell reports whether an address may be told to a remote that is connected from
// the other IP: whether it means the same there. It is the part of MayDial that the
// teller can judge.
func MayTell(ip, to netip.Addr) bool {
	kind := KindOf(ip)

	return IsDialable(ip) && (kind == Public || kind == KindOf(to))
}

// IsDialable reports whether a host may be reached at the address from somewhere: it
// is neither reserved nor link-local. An IPv6 address that embeds an IPv4 address leads
// nowhere unless that one is public (RFC 6052 section 3.1, RFC 3056 section 2). Operators
// who lift the rules for private networks still cannot dial anything else.
func IsDialable(ip netip.Addr) bool {
	switch KindOf(ip) {
	case Public:
		return true
	case Loopback, Private, Shared:
		return Embedded(ip) == ip.Unmap().WithZone("")
	default:
		return false
	}
}
