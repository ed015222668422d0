package lp2p

import (
	"context"
	"errors"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// mayDialNamed reports whether libp2p may dial an IP for a peer although the transport does
// not dial it. A connected peer has named it by identify, DCUtR or AutoNAT. Otherwise a user
// of the host has, and any dialable address is allowed.
func (t *Transport) mayDialNamed(p peer.ID, ip netip.Addr) bool {
	conns := t.host.Network().ConnsToPeer(p)
	if len(conns) == 0 {
		return netgroup.IsDialable(ip)
	}
	var from netip.Addr
	for _, c := range conns {
		if at := directIP(c); at.IsValid() {
			from = at
		}
	}

	return t.mayTellUs(ip, from)
}

// directIP returns the IP of a connection's remote, which is not valid behind a relay.
func directIP(c network.Conn) netip.Addr {
	at := c.RemoteMultiaddr()
	if isCircuit(at) {
		return netip.Addr{}
	}

	return ipOf(at)
}

// mayTellUs reports whether a remote that is connected from the other IP may tell this node
// to dial the first one.
func (t *Transport) mayTellUs(ip, from netip.Addr) bool {
	return netgroup.MayDial(ip, from, netgroup.FromIP(t.NodeInfo().NetAddress.IP))
}

// forgetNamed removes what a peer has told over identify and may not tell, when its last
// connection ends: libp2p keeps the addresses for some minutes, in which a dial would no
// longer know that the peer has named them. It keeps where this node has reached the peer.
func (t *Transport) forgetNamed(n network.Network, c network.Conn) {
	p := c.RemotePeer()
	if len(n.ConnsToPeer(p)) > 0 {
		return
	}
	from, dialed := directIP(c), c.Stat().Direction == network.DirOutbound
	for _, a := range n.Peerstore().Addrs(p) {
		if ip := ipOf(a); ip.IsValid() && !t.mayTellUs(ip, from) && !(dialed && ip == from) {
			n.Peerstore().SetAddr(p, a, 0)
		}
	}
}

// noNames looks up no host name: this node looks up those of its configuration itself, and
// libp2p has no others than those that remotes tell.
type noNames struct{}

var (
	_ network.MultiaddrDNSResolver = noNames{}

	errNamed = errors.New("host names that remotes tell are not looked up")
)

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (noNames) ResolveDNSAddr(
	context.Context, peer.ID, multiaddr.Multiaddr, int, int,
) ([]multiaddr.Multiaddr, error) {
	return nil, errNamed
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver.
func (noNames) ResolveDNSComponent(context.Context, multiaddr.Multiaddr, int) ([]multiaddr.Multiaddr, error) {
	return nil, errNamed
}
