package lp2p

import (
	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"
)

// WithPrivateNode makes the node announce no address: identify tells its peers
// none, so they have none to pass on, and discovery runs as a client that nobody
// keeps in a routing table. The NodeInfo names no IP and no port: 0.0.0.0:0 takes the
// place of those given to NewTransport; what a caller gives to DialAs or to a Pending
// is sent as it is. The node is still dialed by whoever knows where it is.
//
// It excludes WithAutoNAT, which asks others whether they reach the node at its
// addresses, and WithHolePunching, which tells them to whom it meets at a relay.
func WithPrivateNode() Option {
	return func(o *options) error {
		o.private = true
		o.libp2p = append(o.libp2p,
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }))

		return nil
	}
}
