package p2paddr

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// AddrPort returns the IP and port of a multiaddr that has no other parts: TCP, or QUIC
// over UDP. An IPv4-mapped IP is returned as IPv4.
func AddrPort(a multiaddr.Multiaddr) (netip.AddrPort, bool) {
	switch {
	case len(a) == 2 && a[1].Code() == multiaddr.P_TCP:
	case len(a) == 3 && a[1].Code() == multiaddr.P_UDP && a[2].Code() == multiaddr.P_QUIC_V1:
	default:
		return netip.AddrPort{}, false
	}
	if code := a[0].Code(); code != multiaddr.P_IP4 && code != multiaddr.P_IP6 {
		return netip.AddrPort{}, false
	}
	ip, port := netgroup.FromIP(a[0].RawValue()), a[1].RawValue()
	if !ip.IsValid() || len(port) != 2 {
		return netip.AddrPort{}, false
	}

	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port)), true
}

// Endpoint is AddrPort for package net, and of a link-local address without its zone.
// There is none for a relayed connection: its address is that of the relay.
func Endpoint(a multiaddr.Multiaddr) (ip net.IP, port uint16, ok bool) {
	at, ok := AddrPort(unzoned(a))

	return at.Addr().AsSlice(), at.Port(), ok
}

// unzoned is the multiaddr without the zone of a link-local address.
func unzoned(a multiaddr.Multiaddr) multiaddr.Multiaddr {
	if len(a) > 0 && a[0].Code() == multiaddr.P_IP6ZONE {
		return a[1:]
	}

	return a
}

// IsUDP reports whether a multiaddr is one over UDP, as QUIC's.
func IsUDP(a multiaddr.Multiaddr) bool {
	a = unzoned(a)

	return len(a) >= 2 && a[1].Code() == multiaddr.P_UDP
}

// NetAddr returns the remote end of a connection for package net; it has no IP
// where none is known.
func NetAddr(a multiaddr.Multiaddr) net.Addr {
	ip, port, ok := Endpoint(a)
	switch {
	case !ok:
		return &net.TCPAddr{}
	case IsUDP(a):
		return &net.UDPAddr{IP: ip, Port: int(port)}
	default:
		return &net.TCPAddr{IP: ip, Port: int(port)}
	}
}

// TCPMultiaddr returns the multiaddr of a TCP port. It fails without an IP.
func TCPMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, multiaddr.P_TCP, port)
}

// QUICMultiaddr returns the multiaddr of QUIC at a UDP port. It fails without an IP.
func QUICMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, multiaddr.P_UDP, port, multiaddr.P_QUIC_V1)
}

// FromTCPAddr returns the multiaddr of an end of a TCP connection.
func FromTCPAddr(addr net.Addr) (multiaddr.Multiaddr, error) {
	if a, ok := addr.(*net.TCPAddr); ok && a.Zone == "" {
		return TCPMultiaddr(a.IP, uint16(a.Port))
	}

	return manet.FromNetAddr(addr)
}

// ipMultiaddr returns a multiaddr of an IP, a port, and protocols above it. It makes the
// binary form, as the way over the text costs several times as much, and every connection has
// several addresses.
func ipMultiaddr(ip net.IP, transport int, port uint16, above ...int) (multiaddr.Multiaddr, error) {
	raw := make([]byte, 0, 1+net.IPv6len+2*3+2) // of the longest, with QUIC
	if v4 := ip.To4(); v4 != nil {
		raw = append(binary.AppendUvarint(raw, multiaddr.P_IP4), v4...)
	} else if v6 := ip.To16(); v6 != nil {
		raw = append(binary.AppendUvarint(raw, multiaddr.P_IP6), v6...)
	} else {
		return nil, errors.New("address has no IP")
	}
	raw = binary.BigEndian.AppendUint16(binary.AppendUvarint(raw, uint64(transport)), port)
	for _, code := range above {
		raw = binary.AppendUvarint(raw, uint64(code))
	}

	return multiaddr.NewMultiaddrBytes(raw)
}
