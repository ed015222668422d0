package dropin

import (
	"context"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

type fromTransport struct{ gno p2p.Transport }

var _ compat.Transport = fromTransport{}

// FromTransport converts a transport from gno's type. The caller makes the transport listen
// and closes it. The result keeps only the promises of gno's transport, which are fewer than
// those of compat.Transport.
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
