package simulation

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// Kind says which stacks a node has.
type Kind int

// The kinds of nodes.
const (
	Native Kind = iota
	Dual
	Libp2p
	kinds
)

// String returns the name of the kind.
func (k Kind) String() string { return [kinds]string{"native", "dual", "libp2p"}[k] }

// newTransport sets the transport of a node of its kind.
func (n *node) newTransport(c Config, info types.NodeInfo, silent compat.Reactor) error {
	s := sockets{n.host}
	libp2p := []lp2p.Option{
		lp2p.WithPeerLimits(c.MaxInbound, c.MaxOutbound, false), lp2p.WithAddrBook(n.book),
		lp2p.WithChannels(n.descriptors(silent)...),
	}
	switch n.kind {
	case Native:
		n.transport = native.NewMultiplexTransport(info, n.key, mconn.DefaultMConnConfig(), nil, native.WithSockets(s))
	case Dual:
		t, err := dual.NewTransport(info, n.key, mconn.DefaultMConnConfig(), nil,
			dual.WithSockets(s), dual.WithLibp2p(libp2p...))
		if err != nil {
			return err
		}
		n.transport, n.t = t, t.Libp2p()
	case Libp2p:
		t, err := lp2p.NewTransport(info, n.key, nil, append(libp2p, lp2p.WithSockets(s))...)
		if err != nil {
			return err
		}
		n.transport, n.t = t, t
	default:
		return fmt.Errorf("no kind %d", n.kind)
	}

	return nil
}
