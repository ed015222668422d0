package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// toBehavior implements gno's PeerBehavior with ours. gno has no counterpart of the
// optional interfaces PeerAdmission and ConnAdmission, so they are not used.
type toBehavior struct{ ours compat.PeerBehavior }

var _ p2p.PeerBehavior = toBehavior{}

func (b toBehavior) ReactorChDescriptors() []*p2p.ChannelDescriptor {
	return ChannelDescriptors(b.ours.ReactorChDescriptors())
}

func (b toBehavior) Reactors() map[byte]p2p.Reactor {
	return convertValues(b.ours.Reactors(), Reactor)
}

func (b toBehavior) HandlePeerError(peer p2p.PeerConn, err error) {
	b.ours.HandlePeerError(FromPeerConn(peer), err)
}

func (b toBehavior) IsPersistentPeer(id gnotypes.ID) bool {
	return b.ours.IsPersistentPeer(types.ID(id))
}

func (b toBehavior) IsPrivatePeer(id gnotypes.ID) bool { return b.ours.IsPrivatePeer(types.ID(id)) }

// fromBehavior implements our PeerBehavior with gno's. It has none of the optional
// interfaces: gno's switch decides about a peer after the handshake.
type fromBehavior struct{ gno p2p.PeerBehavior }

var _ compat.PeerBehavior = fromBehavior{}

// ReactorChDescriptors fills in the defaults, as gno's own connections do.
func (b fromBehavior) ReactorChDescriptors() []*compat.ChannelDescriptor {
	descs := FromChannelDescriptors(b.gno.ReactorChDescriptors())
	for _, d := range descs {
		if d != nil {
			*d = d.FillDefaults()
		}
	}

	return descs
}

func (b fromBehavior) Reactors() map[byte]compat.Reactor {
	return convertValues(b.gno.Reactors(), FromReactor)
}

func (b fromBehavior) HandlePeerError(peer compat.PeerConn, err error) {
	b.gno.HandlePeerError(PeerConn(peer), err)
}

func (b fromBehavior) IsPersistentPeer(id types.ID) bool {
	return b.gno.IsPersistentPeer(gnotypes.ID(id))
}

func (b fromBehavior) IsPrivatePeer(id types.ID) bool { return b.gno.IsPrivatePeer(gnotypes.ID(id)) }
