package pex

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
)

// mayTell reports whether the address may be told to the peer.
func (r *Reactor) mayTell(addr *types.NetAddress, peer compat.PeerConn) bool {
	return r.privateNetworks || netgroup.MayTell(netgroup.FromIP(addr.IP), netgroup.FromIP(remoteIP(peer)))
}

// mayDial reports whether the address may be believed when the peer tells it. A node that
// announces no address counts as announcing those of its network interfaces.
func (r *Reactor) mayDial(addr *types.NetAddress, peer compat.PeerConn) bool {
	ip, from := netgroup.FromIP(addr.IP), netgroup.FromIP(remoteIP(peer))
	own := netgroup.FromIP(r.book.Self().IP)
	if r.privateNetworks || netgroup.MayDial(ip, from, own) {
		return true
	}
	if own.IsValid() && !own.IsUnspecified() || !netgroup.MayTell(ip, from) {
		return false
	}
	interfaces, err := net.InterfaceAddrs()

	// Without them as on a public network, where mistakes harm more.
	return err == nil && slices.ContainsFunc(ownaddr.Local(interfaces), func(own netip.Addr) bool {
		return netgroup.MayDial(ip, from, own)
	})
}

// remoteIP is where the peer is connected from, not where it says it is.
func remoteIP(peer compat.PeerConn) net.IP {
	if ip := peer.RemoteIP(); ip != nil {
		return ip
	}

	return peer.SocketAddr().IP
}
