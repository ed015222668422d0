package pex

import (
	"net"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The prefixes by which source addresses are grouped. Whoever has one address of
// such a network can often have others.
const (
	groupBits4 = 16
	groupBits6 = 32
)

// The prefixes that one host may have to itself.
const (
	hostBits4 = 32
	hostBits6 = 64
)

// usable reports whether somebody may be able to dial the address. TM2 also lets
// port 0 and multicast pass, which nobody can.
func usable(addr *types.NetAddress) bool {
	return addr.Validate() == nil && addr.Port != 0 && !addr.IP.IsMulticast()
}

// onPrivateNetwork reports whether the IP means something only to nodes nearby.
// An unknown IP does not.
func onPrivateNetwork(ip net.IP) bool {
	addr := types.NewNetAddressFromIPPort(ip, 0)

	return addr.Local() || addr.RFC1918() || addr.RFC4193() || addr.RFC4843() || ip.IsLinkLocalUnicast()
}

// mayPass reports whether the address may be told to the peer, or believed when
// the peer tells it.
func (r *Reactor) mayPass(addr *types.NetAddress, peer compat.PeerConn) bool {
	return r.privateNetworks || !onPrivateNetwork(addr.IP) || onPrivateNetwork(remoteIP(peer))
}

// remoteIP is where the peer is connected from, not where it says it is.
func remoteIP(peer compat.PeerConn) net.IP {
	if ip := peer.RemoteIP(); ip != nil {
		return ip
	}

	return peer.SocketAddr().IP
}

// groupOf is the network that an IP belongs to, or empty where all peers are
// in one: private networks are small, and their own.
func groupOf(ip net.IP) string { return networkOf(ip, groupBits4, groupBits6) }

// networkOf is the prefix of an IP, or empty on private networks.
func networkOf(ip net.IP, bits4, bits6 int) string {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || onPrivateNetwork(ip) {
		return ""
	}
	addr = addr.Unmap()
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return "" // only for an address with a zone, which a net.IP has not
	}

	return prefix.String()
}
