package adapter

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// The first peers to connect must not hold the inbound slots for ever. When all slots are
// taken, a newcomer may take the place of a peer in a more crowded network, so the peers
// become more diverse with each eviction and a set of dialers cannot evict each other
// without end. If no network is more crowded than the newcomer's own, the newcomer is
// refused. Bitcoin Core chooses in a similar way (AttemptToEvictConnection).
const (
	// protectedShare is the share of the inbound slots whose peers stay because they have
	// been connected longest: one in four. An attacker must outlast them.
	protectedShare = 4
	usefulUptime   = conduct.UsefulUptime
)

// errEvicted is the reason for ending the connection of a peer that gives way.
var errEvicted = compat.Reject(compat.RejectFull,
	"all slots, or those of the bridge, are taken, and a peer of a less crowded network takes the place (max_num_inbound_peers)")

// resident is a peer that could give way.
type resident struct {
	conn     *connection
	since    time.Time                     // when it was started
	networks [netgroup.Widths]netip.Prefix // in which it counts
}

// findLoser returns the peer whose slot the candidate may take, or nil: the youngest
// peer of the most crowded network. Exempt peers, those that an exempt peer presents from no public
// host, peers that are being admitted, and those that have been connected longest stay. The caller
// holds the lock.
func (r *registry) findLoser(c candidate) *connection {
	networks := c.networks()
	if c.outbound && !c.tries || !c.host.IsValid() || r.evicts || r.conduct.Refusal("", networks[0]) != nil {
		return nil
	}
	protected, gain := r.limits[slotInbound]/protectedShare, 2
	if c.outbound { // it is the only one of its network
		protected, gain = maxAnchors, 1
	}
	residents, crowd := r.residents(c.own())

	return choose(residents, crowd, networks, protected, gain)
}

// choose returns the resident that gives way to a newcomer in the networks, or nil: the youngest in
// the most crowded network. The residents that have been connected longest, for usefulUptime or more,
// stay, as many as protected says. A resident gives way only if its network has at least gain peers more than the newcomer's.
func choose(
	residents []resident, crowd map[netip.Prefix]int, newcomer [netgroup.Widths]netip.Prefix, protected uint64, gain int,
) *connection {
	stays := func(p resident) bool { return !moreCrowded(p.networks, newcomer, crowd, gain) }
	if !slices.ContainsFunc(residents, func(p resident) bool { return !stays(p) }) {
		return nil
	}
	slices.SortFunc(residents, func(a, b resident) int { return a.since.Compare(b.since) })
	for ; protected > 0 && len(residents) > 0 && time.Since(residents[0].since) >= usefulUptime; protected-- {
		residents = residents[1:]
	}
	residents = slices.DeleteFunc(residents, stays)
	if len(residents) == 0 {
		return nil
	}

	return slices.MaxFunc(residents, func(a, b resident) int {
		for i := range a.networks {
			if d := crowd[a.networks[i]] - crowd[b.networks[i]]; d != 0 {
				return d
			}
		}

		return a.since.Compare(b.since)
	}).conn
}

// residents returns the peers in slots of the kind that could give way, and how many of the
// peers that are not exempt each network has. The caller holds the lock.
func (r *registry) residents(kind slot) (residents []resident, crowd map[netip.Prefix]int) {
	crowd = make(map[netip.Prefix]int, 3*len(r.byID))
	for id, c := range r.byID {
		if c.slot != kind || !c.host.IsValid() || r.lists.isExempt(id) {
			continue
		}
		if !c.place.isBelieved() && r.lists.isExempt(compat.Delegate(c.conn)) {
			continue
		}
		for _, n := range c.networks {
			crowd[n]++
		}
		if since, runs := c.runsSince(); runs {
			residents = append(residents, resident{c, since, c.networks})
		}
	}

	return residents, crowd
}

// moreCrowded reports whether the peers are more diverse if the newcomer takes the resident's
// place: of the widest networks in which the two differ, the resident's has at least gain peers
// more. With a gain of 2 it has no fewer even after the exchange.
func moreCrowded(resident, newcomer [netgroup.Widths]netip.Prefix, crowd map[netip.Prefix]int, gain int) bool {
	for i := range resident {
		if resident[i] != newcomer[i] {
			return crowd[resident[i]]-crowd[newcomer[i]] >= gain
		}
	}

	return false
}
