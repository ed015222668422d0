package places

import (
	"container/list"
	"net/netip"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// pool is a number of places that are shared out together. The lock of the Places guards
// it.
type pool struct {
	limit  int
	total  int                                      // places taken
	crowds [netgroup.Widths]map[netip.Prefix]*crowd // by the network, for each width
	open   list.List                                // of *Place: those that may be taken, oldest first
}

// crowd is how many places a network has.
type crowd struct {
	network netip.Prefix
	places  int
}

func newPool(limit int) pool {
	p := pool{limit: limit}
	for i := range p.crowds {
		p.crowds[i] = make(map[netip.Prefix]*crowd)
	}

	return p
}

// enter counts a place in.
func (pl *pool) enter(p *Place, networks [netgroup.Widths]netip.Prefix) {
	pl.total++
	for i, network := range networks {
		c := pl.crowds[i][network]
		if c == nil {
			c = &crowd{network: network}
			pl.crowds[i][network] = c
		}
		c.places++
		p.crowds[i] = c
	}
}

// leave undoes enter.
func (pl *pool) leave(p *Place) {
	pl.total--
	for i, c := range p.crowds {
		if c.places--; c.places == 0 {
			delete(pl.crowds[i], c.network)
		}
	}
}

// victim returns the place that gives way to the newcomer, which is counted in already, or
// nil. With ofHost only places of the newcomer's host are considered.
func (pl *pool) victim(newcomer *Place, ofHost bool) (found *Place) {
	most := newcomer.rank()
	most[len(most)-1] = 0 // among equals it is the newcomer that stays
	for e := pl.open.Front(); e != nil; e = e.Next() {
		p := e.Value.(*Place)
		if ofHost && p.host() != newcomer.host() {
			continue
		}
		rank := p.rank()
		if c := slices.Compare(rank[:], most[:]); c > 0 || c == 0 && found == nil {
			found, most = p, rank
		}
	}

	return found
}
