// Package access is what package discovery may ask of a transport of package lp2p
// beside its public methods: a DHT shares the transport's connections and its
// knowledge of peers, and no other program should depend on how.
package access

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Of returns the inner side of an *lp2p.Transport. Package lp2p sets it when it is
// initialised.
var Of func(compat.Transport) Transport

// Transport is the inner side of an *lp2p.Transport. All methods may be called
// concurrently.
type Transport interface {
	Host() host.Host
	NetAddress() types.NetAddress
	// NodeInfo is what this node tells of itself; nobody changes what it points to.
	NodeInfo() types.NodeInfo
	// IsPrivatePeer reports whether the switch that accepts from the transport calls
	// the peer private. Before the first Accept no peer is.
	IsPrivatePeer(id types.ID) bool

	// Connect returns a connection to the peer for something that is no session, and
	// a function that gives it back, which is called once. Without an open connection
	// libp2p dials what the host's peerstore has, through no relay, within the dial
	// timeout. A connection that this node has opened is closed when all have given
	// it back and no session is left; nothing protects it from the connection manager.
	Connect(ctx context.Context, p peer.ID) (network.Conn, func(), error)
	// DialAddrs returns where libp2p dials the IP and port of an address.
	DialAddrs(addr types.NetAddress) []multiaddr.Multiaddr
	// Hold is Connect for an open connection, as that of an inbound stream. It returns
	// false when the connection is being closed.
	Hold(c network.Conn) (release func(), ok bool)
	// Met reports whether the connection was made after a meeting at a relay. Then its
	// remote address is open for this node only, and while the connection lasts.
	Met(c network.Conn) bool

	// AddrBook is what the transport keeps of peers: their keys, and where they are.
	AddrBook() *addrbook.Book
	// Resolve returns the peer ID behind a TM2 address, known or of the node that
	// answers there, and where libp2p dials it. Its errors are those of Dial before
	// there is a connection.
	Resolve(ctx context.Context, addr types.NetAddress) (peer.AddrInfo, error)
}
