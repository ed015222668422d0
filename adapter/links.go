package adapter

import (
	"cmp"
	"net"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Link tells how a peer is connected.
type Link struct {
	PeerID   types.ID
	Moniker  string         // what the peer calls itself: any text
	Stack    types.Stack    // empty if the transport does not tell it
	Dialect  compat.Dialect // of a native peer; else empty
	Address  net.Addr       // the remote address, whose network is "udp" for QUIC
	Outbound bool           // this node dialed
	Delegate types.ID       // the node that presents the peer, as a bridge does; else empty
	Tunnel   types.ID       // the bridge through whose tunnel the connection runs; else empty
}

// Links tells how each peer in the set is connected, in the order of their IDs. In a network
// that migrates it shows which peers are still native (docs/migration.md). It sees through
// the wrappers of reactors. It may be called concurrently and does not block.
func (sw *MultiplexSwitch) Links() []Link {
	conns := sw.peers.connections()
	links := make([]Link, len(conns))
	for i, c := range conns {
		links[i] = Link{
			PeerID: c.id, Moniker: c.conn.NodeInfo().Moniker, Stack: stackOf(c.conn),
			Address: c.conn.RemoteAddr(), Outbound: c.outbound, Delegate: compat.Delegate(c.conn), Tunnel: compat.TunneledBy(c.conn),
		}
		if d, ok := c.conn.(compat.DialectReporter); ok {
			links[i].Dialect = d.Dialect()
		}
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.PeerID, b.PeerID) })

	return links
}

// stackOf returns the stack of a connection, or nothing if its transport does not tell it.
func stackOf(conn compat.PeerConn) types.Stack {
	if s, ok := conn.(compat.StackReporter); ok {
		return s.Stack()
	}

	return ""
}
