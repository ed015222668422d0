package places

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// ErrFull is wrapped by the errors of Take.
var ErrFull = errors.New("no place for another handshake")

// Limits bounds the places. All are numbers of connections.
type Limits struct {
	// Total is the limit for all hosts together, those of configured peers apart. It is
	// positive.
	Total int
	// PerHost is the limit for one host: one IPv4 address, or one IPv6 /64. It is positive.
	PerHost int
	// Configured is how many further places there are for hosts of configured peers. With
	// 0 they share those of all others.
	Configured int
}

// Places are those of one or several listeners. All methods may be called concurrently.
type Places struct {
	limits Limits

	mtx        sync.Mutex
	others     pool
	configured pool
}

// New returns places with the limits.
func New(limits Limits) *Places {
	return &Places{limits: limits, others: newPool(limits.Total), configured: newPool(limits.Configured)}
}

// Take takes a place for a connection from the IP; all that have no valid one count as one
// host. configured says that a configured peer may connect from there. If another
// connection takes the place later, evicted is called once, by the Take of that one: it
// closes the connection, returns without waiting, and does not use the places. If another
// one has to give way now, its evicted has been called when Take returns. The error wraps
// ErrFull.
func (ps *Places) Take(from netip.Addr, configured bool, evicted func()) (*Place, error) {
	p := &Place{places: ps, pool: &ps.others, evicted: evicted, silent: true}
	if configured && ps.limits.Configured > 0 {
		p.pool = &ps.configured
	}
	victim, err := ps.take(p, netgroup.Around(from))
	if victim != nil {
		victim.evicted()
	}
	if err != nil {
		return nil, err
	}

	return p, nil
}

func (ps *Places) take(p *Place, networks [netgroup.Widths]netip.Prefix) (victim *Place, err error) {
	ps.mtx.Lock()
	defer ps.mtx.Unlock()
	p.pool.enter(p, networks)
	ofHost := p.host().places > ps.limits.PerHost
	if ofHost || p.pool.total > p.pool.limit {
		if victim = p.pool.victim(p, ofHost); victim == nil {
			p.pool.leave(p)

			return nil, fmt.Errorf("%w: %d are taken, %d of them from %s",
				ErrFull, p.pool.total, p.host().places, netgroup.Name(p.host().network))
		}
		victim.release(placeEvicted)
	}
	p.open = p.pool.open.PushBack(p)

	return victim, nil
}

// GiveWay makes a connection give its place up to a newcomer from the IP that takes none
// itself, or not yet: for places that something else limits. It is the one that would give
// way if the newcomer took a place while none is free; for a configured one, the one of the
// most crowded network, however crowded. Places of configured peers are left alone. GiveWay
// reports whether one gave way, whose evicted has been called then.
func (ps *Places) GiveWay(to netip.Addr, configured bool) bool {
	victim := ps.giveWay(to, configured)
	if victim == nil {
		return false
	}
	victim.evicted()

	return true
}

func (ps *Places) giveWay(to netip.Addr, configured bool) (victim *Place) {
	ps.mtx.Lock()
	defer ps.mtx.Unlock()
	newcomer := &Place{places: ps, pool: &ps.others}
	if configured {
		for i := range newcomer.crowds {
			newcomer.crowds[i] = new(crowd) // less crowded than all
		}
	} else {
		newcomer.pool.enter(newcomer, netgroup.Around(to))
		defer newcomer.pool.leave(newcomer)
	}
	if victim = newcomer.pool.victim(newcomer, false); victim != nil {
		victim.release(placeEvicted)
	}

	return victim
}

// Taken returns how many places are taken, those for configured peers among them.
func (ps *Places) Taken() int {
	ps.mtx.Lock()
	defer ps.mtx.Unlock()

	return ps.others.total + ps.configured.total
}
