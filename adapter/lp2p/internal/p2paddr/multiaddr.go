package p2paddr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/multiformats/go-multiaddr"
)

// Endpoint returns the IP and the TCP or UDP port with which a multiaddr begins.
// There is none for a relayed connection: its address is that of the relay.
func Endpoint(a multiaddr.Multiaddr) (ip net.IP, port uint16, ok bool) {
	if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
		return nil, 0, false
	}
	a = unzoned(a)
	if len(a) < 2 {
		return nil, 0, false
	}
	if code := a[0].Code(); code != multiaddr.P_IP4 && code != multiaddr.P_IP6 {
		return nil, 0, false
	}
	if code := a[1].Code(); code != multiaddr.P_TCP && code != multiaddr.P_UDP {
		return nil, 0, false
	}

	return net.IP(a[0].RawValue()), binary.BigEndian.Uint16(a[1].RawValue()), true
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

func TCPMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, fmt.Sprintf("/tcp/%d", port))
}

func QUICMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, fmt.Sprintf("/udp/%d/quic-v1", port))
}

func ipMultiaddr(ip net.IP, rest string) (multiaddr.Multiaddr, error) {
	if ip == nil {
		return nil, errors.New("address has no IP")
	}
	version := "/ip6/"
	if ip.To4() != nil {
		version = "/ip4/"
	}

	return multiaddr.NewMultiaddr(version + ip.String() + rest)
}
