package dropin

import (
	"errors"
	"fmt"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ErrPeerInSet is wrapped by the error of Add of a [PeerSet] that has a peer with the ID.
var ErrPeerInSet = errors.New("peer is in the set")

type fromPeerSet struct{ gno p2p.PeerSet }

var _ compat.PeerSet = fromPeerSet{}

// FromPeerSet returns a view of gno's set of peers. A change of either set changes the other.
func FromPeerSet(set p2p.PeerSet) compat.PeerSet { return fromPeerSet{gno: set} }

func (s fromPeerSet) Remove(key types.ID) bool { return s.gno.Remove(gnotypes.ID(key)) }

func (s fromPeerSet) Has(key types.ID) bool { return s.gno.Has(gnotypes.ID(key)) }

func (s fromPeerSet) Get(key types.ID) compat.PeerConn {
	return FromPeerConn(s.gno.Get(gnotypes.ID(key)))
}

func (s fromPeerSet) List() []compat.PeerConn { return convert(s.gno.List(), FromPeerConn) }

func (s fromPeerSet) NumInbound() uint64 { return s.gno.NumInbound() }

func (s fromPeerSet) NumOutbound() uint64 { return s.gno.NumOutbound() }

type toPeerSet struct{ ours compat.PeerSet }

var _ p2p.PeerSet = toPeerSet{}

// PeerSet returns a view of our set of peers. A change of either set changes the other.
func PeerSet(set compat.PeerSet) p2p.PeerSet { return toPeerSet{ours: set} }

// add returns an error that wraps ErrPeerInSet when the set already has the ID.
func (s toPeerSet) add(peer p2p.PeerConn) error {
	ours := FromPeerConn(peer)
	if s.ours.Has(ours.ID()) {
		return fmt.Errorf("%w: %s", ErrPeerInSet, ours.ID())
	}
	s.ours.Add(ours)
	if s.ours.Get(ours.ID()) != ours { // another Add was faster
		return fmt.Errorf("%w: %s", ErrPeerInSet, ours.ID())
	}

	return nil
}

func (s toPeerSet) Remove(key gnotypes.ID) bool { return s.ours.Remove(types.ID(key)) }

func (s toPeerSet) Has(key gnotypes.ID) bool { return s.ours.Has(types.ID(key)) }

func (s toPeerSet) Get(key gnotypes.ID) p2p.PeerConn { return PeerConn(s.ours.Get(types.ID(key))) }

func (s toPeerSet) List() []p2p.PeerConn { return convert(s.ours.List(), PeerConn) }

func (s toPeerSet) NumInbound() uint64 { return s.ours.NumInbound() }

func (s toPeerSet) NumOutbound() uint64 { return s.ours.NumOutbound() }
