// Package access is what package discovery may ask of a transport of package lp2p
// beside its public methods: a DHT shares the transport's connections and its
// knowledge of peers, and no other program should depend on how.
package access

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Of returns the inner side of an *lp2p.Transport. Package lp2p sets it when it is
// initialised.
var Of func(compat.Transport) Transport

// Transport is the inner side of an *lp2p.Transport. All methods may be called
// concurrently.
type Transport interface {
	// Host returns the libp2p host. The transport closes it.
	Host() host.Host
	// NetAddress returns the node's ID with the IP and port of the listener.
	NetAddress() types.NetAddress
	// NodeInfo returns what this node tells of itself. The caller must not change
	// what it points to.
	NodeInfo() types.NodeInfo
	// IsPrivatePeer reports whether the switch that accepts from this transport does
	// not want the peer to be told to others. Before the first Accept no peer is
	// private.
	IsPrivatePeer(id types.ID) bool

	// Connect returns an open connection to the peer for something that is no
	// session, and a function that gives it back, which is called once. Without a
	// connection libp2p dials what the host's peerstore has, but through no relay;
	// ctx and the dial timeout bound that.
	//
	// A connection that this node has opened is closed when all have given it back
	// and no session is left. Holding it does not protect it from the connection
	// manager.
	Connect(ctx context.Context, p peer.ID) (network.Conn, func(), error)
	// Hold is Connect for a connection that is open, as that of an inbound stream:
	// sessions that end on it do not close it until it is given back. It returns
	// false when the connection is being closed.
	Hold(c network.Conn) (release func(), ok bool)

	// PeerID returns the peer ID behind a TM2 ID if the transport has learned it.
	PeerID(id types.ID) (peer.ID, bool)
	// Learn remembers the peer ID behind a TM2 ID, which it returns, so that a dial
	// needs no probe. It fails for a peer without a TM2 ID.
	Learn(p peer.ID) (types.ID, error)
	// Resolve returns the libp2p identity and addresses behind a TM2 address: the
	// peer ID that is known, or that of the node that answers there, and where
	// libp2p dials it, a host name looked up. Its errors are those of Dial before
	// there is a connection.
	Resolve(ctx context.Context, addr types.NetAddress) (peer.AddrInfo, error)
	// Suggest tells where a peer may be reached beside the addresses that are dialed:
	// Dial tries these when it does not find the peer at the address it is given, as
	// a persistent peer that has moved. All of the addresses have one ID, and
	// replace what was suggested for it before; 4 are kept, for 1024 peers. None
	// forgets them.
	Suggest(id types.ID, addrs ...types.NetAddress)
}
