package places

import (
	"container/list"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Place is that of one connection. All methods may be called concurrently.
type Place struct {
	places  *Places
	pool    *pool
	crowds  [netgroup.Widths]*crowd // that it is counted in, the widest first
	evicted func()

	// Guarded by places.mtx.
	open   *list.Element // nil once the place cannot be taken
	silent bool          // the remote has sent nothing
	state  placeState
}

type placeState uint8

const (
	placeTaken placeState = iota
	placeLeft
	placeEvicted
)

// Speak notes that the remote has sent something.
func (p *Place) Speak() {
	p.places.mtx.Lock()
	defer p.places.mtx.Unlock()
	p.silent = false
}

// Settle notes that the remote has proved who it is, and that the connection only waits for
// its turn: no other connection takes the place any more. It reports false if one has done
// so already.
func (p *Place) Settle() bool {
	p.places.mtx.Lock()
	defer p.places.mtx.Unlock()
	p.close()

	return p.state != placeEvicted
}

// Leave gives the place back and reports whether another connection had taken it. Further
// calls change nothing and report the same.
func (p *Place) Leave() (evicted bool) {
	p.places.mtx.Lock()
	defer p.places.mtx.Unlock()
	if p.state == placeTaken {
		p.release(placeLeft)
	}

	return p.state == placeEvicted
}

// release gives the place back. The caller holds the lock.
func (p *Place) release(state placeState) {
	p.state = state
	p.close()
	p.pool.leave(p)
}

// close keeps others from taking the place. The caller holds the lock.
func (p *Place) close() {
	if p.open != nil {
		p.pool.open.Remove(p.open)
		p.open = nil
	}
}

// host is the narrowest crowd.
func (p *Place) host() *crowd { return p.crowds[netgroup.Widths-1] }

// rank orders places: the greatest gives way first. It is the crowding from the widest
// network to the narrowest, and then whether the remote is silent. The caller holds the
// lock.
func (p *Place) rank() (rank [netgroup.Widths + 1]int) {
	for i, c := range p.crowds {
		rank[i] = c.places
	}
	if p.silent {
		rank[netgroup.Widths] = 1
	}

	return rank
}
