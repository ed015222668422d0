package lp2p

import (
	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"
)

// WithPrivateNode makes the node announce no address: identify tells its peers
// none, so they have none to pass on, and discovery runs as a client that nobody
// keeps in a routing table. The node is still dialed by whoever knows where it is.
func WithPrivateNode() Option {
	return WithLibp2pOptions(libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }))
}
