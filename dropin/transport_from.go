package dropin

import (
	"context"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

type fromTransport struct{ gno p2p.Transport }

var _ compat.Transport = fromTransport{}

// FromTransport is gno's transport as ours. Whoever made the transport listens
// and closes it. It promises what gno's promises and no more: where that is less
// than compat.Transport documents, so is this.
func FromTransport(t p2p.Transport) compat.Transport { return fromTransport{gno: t} }

func (t fromTransport) NetAddress() types.NetAddress {
	addr := t.gno.NetAddress()

	return *FromNetAddress(&addr)
}

func (t fromTransport) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	peer, err := t.gno.Accept(ctx, toBehavior{ours: behavior})
	if err != nil {
		return nil, fromTransportError(err)
	}

	return FromPeerConn(peer), nil
}

func (t fromTransport) Dial(
	ctx context.Context,
	addr types.NetAddress,
	behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	peer, err := t.gno.Dial(ctx, *NetAddress(&addr), toBehavior{ours: behavior})
	if err != nil {
		return nil, fromTransportError(err)
	}

	return FromPeerConn(peer), nil
}

func (t fromTransport) Remove(peer compat.PeerConn) { t.gno.Remove(PeerConn(peer)) }
