package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// toBehavior is our PeerBehavior as gno's. Its optional powers (PeerAdmission,
// ConnAdmission) have no counterpart and are not used.
type toBehavior struct{ ours compat.PeerBehavior }

var _ p2p.PeerBehavior = toBehavior{}

func (b toBehavior) ReactorChDescriptors() []*p2p.ChannelDescriptor {
	return ChannelDescriptors(b.ours.ReactorChDescriptors())
}

func (b toBehavior) Reactors() map[byte]p2p.Reactor {
	ours := b.ours.Reactors()
	gno := make(map[byte]p2p.Reactor, len(ours))
	for ch, r := range ours {
		gno[ch] = Reactor(r)
	}

	return gno
}

func (b toBehavior) HandlePeerError(peer p2p.PeerConn, err error) {
	b.ours.HandlePeerError(FromPeerConn(peer), err)
}

func (b toBehavior) IsPersistentPeer(id gnotypes.ID) bool {
	return b.ours.IsPersistentPeer(types.ID(id))
}

func (b toBehavior) IsPrivatePeer(id gnotypes.ID) bool { return b.ours.IsPrivatePeer(types.ID(id)) }
