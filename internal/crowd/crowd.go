// Package crowd says which of many connections gives way when a newcomer finds no place, so that the
// first to come do not hold the places for ever: one in a network that has more of them than the
// newcomer's. The connections become more diverse with each exchange, and a set of dialers cannot
// drive each other out without end. If no network is more crowded than the newcomer's own, nobody
// gives way. Bitcoin Core chooses in a similar way (AttemptToEvictConnection).
package crowd

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Protected is the share of the places whose holders stay because they have held them longest, and for
// conduct.UsefulUptime at least: one in four. An attacker must outlast them.
const Protected = 4

// Networks are those around a host, the widest first (netgroup.Around).
type Networks = [netgroup.Widths]netip.Prefix

// Crowd is what is known of the connections at one moment. The zero value has none. It is not safe for
// concurrent use.
type Crowd[T any] struct {
	counts    map[netip.Prefix]int
	residents []Resident[T]
}

// Resident is a connection that may give way.
type Resident[T any] struct {
	Holder   T
	Since    time.Time // when it got its place
	Networks Networks
	Known    bool // it stays as long as one of its widest network that is not known can go
}

// Count counts a connection, whether or not it may give way.
func (c *Crowd[T]) Count(networks Networks) {
	if c.counts == nil {
		c.counts = make(map[netip.Prefix]int)
	}
	for _, n := range networks {
		c.counts[n]++
	}
}

// Add adds a connection that may give way. It does not count it.
func (c *Crowd[T]) Add(r Resident[T]) { c.residents = append(c.residents, r) }

// Loser returns the holder that gives way to a newcomer in the networks, or the zero value: the
// youngest in the most crowded network. Those that have been there longest stay, as many as protected
// says, if they have been for conduct.UsefulUptime. A resident gives way only if its network has at
// least gain connections more than the newcomer's. With a gain of 2 that has no more of them even after
// the exchange.
func (c *Crowd[T]) Loser(newcomer Networks, protected uint64, gain int) (holder T) {
	stays := func(r Resident[T]) bool { return !c.moreCrowded(r.Networks, newcomer, gain) }
	if !slices.ContainsFunc(c.residents, func(r Resident[T]) bool { return !stays(r) }) {
		return holder
	}
	residents := slices.SortedFunc(slices.Values(c.residents), func(a, b Resident[T]) int { return a.Since.Compare(b.Since) })
	for ; protected > 0 && len(residents) > 0 && time.Since(residents[0].Since) >= conduct.UsefulUptime; protected-- {
		residents = residents[1:]
	}
	residents = slices.DeleteFunc(residents, stays)
	if len(residents) == 0 {
		return holder
	}

	return slices.MaxFunc(residents, c.compare).Holder
}

// compare orders residents by who gives way, the last one first.
func (c *Crowd[T]) compare(a, b Resident[T]) int {
	for i := range a.Networks {
		if d := c.counts[a.Networks[i]] - c.counts[b.Networks[i]]; d != 0 {
			return d
		}
		switch {
		case i > 0 || a.Known == b.Known:
		case a.Known:
			return -1
		default:
			return 1
		}
	}

	return a.Since.Compare(b.Since)
}

// moreCrowded reports whether the connections are more diverse if the newcomer takes the place of the
// resident: of the widest networks in which the two differ, the resident's has at least gain more.
func (c *Crowd[T]) moreCrowded(resident, newcomer Networks, gain int) bool {
	for i := range resident {
		if resident[i] != newcomer[i] {
			return c.counts[resident[i]]-c.counts[newcomer[i]] >= gain
		}
	}

	return false
}
