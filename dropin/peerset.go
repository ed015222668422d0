package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

type fromPeerSet struct{ gno p2p.PeerSet }

var _ compat.PeerSet = fromPeerSet{}

// FromPeerSet is gno's set of peers as ours. It is a view: what changes in one
// changes in the other.
func FromPeerSet(set p2p.PeerSet) compat.PeerSet { return fromPeerSet{gno: set} }

// Add drops gno's error, which says that the ID is there already.
func (s fromPeerSet) Add(peer compat.PeerConn) { _ = s.gno.Add(PeerConn(peer)) }

func (s fromPeerSet) Remove(key types.ID) bool { return s.gno.Remove(gnotypes.ID(key)) }

func (s fromPeerSet) Has(key types.ID) bool { return s.gno.Has(gnotypes.ID(key)) }

func (s fromPeerSet) Get(key types.ID) compat.PeerConn {
	return FromPeerConn(s.gno.Get(gnotypes.ID(key)))
}

func (s fromPeerSet) List() []compat.PeerConn {
	gno := s.gno.List()
	ours := make([]compat.PeerConn, len(gno))
	for i, peer := range gno {
		ours[i] = FromPeerConn(peer)
	}

	return ours
}

func (s fromPeerSet) NumInbound() uint64 { return s.gno.NumInbound() }

func (s fromPeerSet) NumOutbound() uint64 { return s.gno.NumOutbound() }
