package pex

import (
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// mayTell reports whether the address may be told to the peer.
func (r *Reactor) mayTell(addr *types.NetAddress, peer compat.PeerConn) bool {
	return r.privateNetworks || netgroup.MayTell(netgroup.FromIP(addr.IP), netgroup.FromIP(remoteIP(peer)))
}

// mayDial reports whether the address may be believed when the peer tells it.
func (r *Reactor) mayDial(addr *types.NetAddress, peer compat.PeerConn) bool {
	return r.privateNetworks ||
		netgroup.MayDial(netgroup.FromIP(addr.IP), netgroup.FromIP(remoteIP(peer)), netgroup.FromIP(r.book.Self().IP))
}

// remoteIP is where the peer is connected from, not where it says it is.
func remoteIP(peer compat.PeerConn) net.IP {
	if ip := peer.RemoteIP(); ip != nil {
		return ip
	}

	return peer.SocketAddr().IP
}
