package bridge

import (
	"net"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// learnDialer makes a target of a libp2p node that has dialed the bridge. A configured
// target keeps its address, and the transport, which shares the book, finds it at the
// announced one when it is no longer there.
func (b *Bridge) learnDialer(node types.NodeInfo, remote net.Addr) {
	from := netgroup.FromAddr(remote)
	addr := b.dialerAddress(node, from)
	if b.mayLearn(&addr, from) {
		isNew := b.book.Add(addrbook.Source{ID: addr.ID, IP: from.AsSlice()}, &addr) > 0
		b.libp2pTargets.appeared(addr.ID, isNew, false)
	}
}

// dialerAddress returns where a node that is connected from the IP may be dialed: the
// address that it announces, with that IP if the announced one may not be dialed.
func (b *Bridge) dialerAddress(info types.NodeInfo, from netip.Addr) types.NetAddress {
	addr := types.NetAddress{ID: info.ID(), IP: info.NetAddress.IP, Port: info.NetAddress.Port}
	if !b.mayLearn(&addr, from) {
		addr.IP = from.AsSlice()
	}

	return addr
}

// mayLearn reports whether the bridge may dial an address that a remote at this IP names.
func (b *Bridge) mayLearn(addr *types.NetAddress, from netip.Addr) bool {
	ip := netgroup.FromIP(addr.IP)

	return addr.Dialable() && netgroup.MayDial(ip, from, netgroup.FromIP(b.config.Libp2pListen.IP)) && !b.blocks(addr.ID, ip)
}

// learnHints makes targets of the addresses that a libp2p node has told.
func (b *Bridge) learnHints(teller compat.PeerConn, texts []string) {
	var hints []*types.NetAddress
	for _, text := range texts {
		addr, err := types.ParseNetAddress(text)
		if err != nil {
			continue
		}
		addr.ID = addr.ID.Canonical()
		if b.mayLearn(addr, netgroup.FromIP(teller.RemoteIP())) {
			hints = append(hints, addr)
		}
	}
	b.book.Add(addrbook.Source{ID: teller.ID(), IP: teller.RemoteIP()}, hints...)
}
