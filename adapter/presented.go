package adapter

import (
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/crowd"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// A bridge presents many peers over one connection, and says where it has seen each of them.
// Nothing proves that, so what a bridge may gain by a lie is bounded: a peer that it presents
// keeps out no peer that presents itself, and all of its peers together have a share of the
// inbound slots. A bridge that the operator has configured is believed, and needs no share.
const (
	// bridgeShare is the part of the inbound slots that the peers of one bridge may have: a
	// quarter. bridgesShare is that of all bridges that are not configured: a half.
	bridgeShare  = 4
	bridgesShare = 2
)

// place is what one-peer-per-host counts: where a peer is, and how well that is known.
type place struct {
	spot
	trust trust
}

// spot is a host. One that is not public means something only near the bridge that tells it.
type spot struct {
	host netip.Prefix // not valid when it is not known
	near types.ID     // the bridge; empty for a public host, and for peers that present themselves
}

// trust is who says where a peer is.
type trust uint8

const (
	toldByStranger trust = iota // a bridge that is not configured
	toldByExempt                // a bridge that is
	proved                      // its own connection, or that of a bridge that does not tell
	trusts
)

// presentedAt counts the candidate as one at the host where the node that presents it has seen
// it, if that says so.
func (c *candidate) presentedAt(seen netip.Prefix, lists *peerLists) {
	if c.delegate == "" || !seen.IsValid() {
		return
	}
	c.place = place{spot: spot{host: seen}, trust: toldByStranger}
	if c.byExempt {
		c.place.trust = toldByExempt
	}
	if netgroup.KindOf(seen.Addr()) != netgroup.Public {
		c.place.near = c.delegate
	}
	c.guarded = !c.exempt
	c.blocked = c.blocked || lists.isBlockedIP(seen.Addr())
}

// isBelieved reports whether an exempt bridge tells the place of a peer, which counts then in the
// place of the bridge's own. Hosts that are not public mean nothing beside those of other peers.
func (p place) isBelieved() bool {
	return p.trust == toldByExempt && p.near == "" && p.host.IsValid()
}

// networks returns the networks in which the candidate counts, the widest first.
func (c candidate) networks() [netgroup.Widths]netip.Prefix {
	if c.place.isBelieved() {
		return netgroup.Around(c.place.host.Addr())
	}

	return netgroup.Around(c.host.Addr())
}

// othersAt counts the connections at a place that is known at least as well. The caller holds
// the lock.
func (r *registry) othersAt(p place, former *connection) (n uint64) {
	for t := p.trust; t < trusts; t++ {
		n += r.spots[p.spot][t]
	}
	if former != nil && former.place.spot == p.spot && former.place.trust >= p.trust {
		n--
	}

	return n
}

// occupy counts a connection at its place. The caller holds the lock.
func (r *registry) occupy(p place) {
	at := r.spots[p.spot]
	at[p.trust]++
	r.spots[p.spot] = at
}

// leave undoes occupy. The caller holds the lock.
func (r *registry) leave(p place) {
	at := r.spots[p.spot]
	if at[p.trust]--; at == [trusts]uint64{} {
		delete(r.spots, p.spot)

		return
	}
	r.spots[p.spot] = at
}

// checkShare refuses a peer whose bridge has its share of the inbound slots. The bridges at one
// host are one bridge, unless several nodes may share an IP. The caller holds the lock.
func (r *registry) checkShare(c candidate, former *connection) error {
	if c.delegate == "" || c.byExempt || c.exempt || c.evicts { // a peer has given way to that one
		return nil
	}
	var ofBridge, ofAll uint64
	for _, other := range r.byID {
		by := compat.Delegate(other.conn)
		if other == former || by == "" || other.slot == slotNone || r.lists.isExempt(by) {
			continue
		}
		ofAll++
		if r.sameBridge(c, sharer{by, other.host}) {
			ofBridge++
		}
	}
	if r.shares.id != "" && !r.lists.isExempt(r.shares.id) { // who waits for a place has one
		ofAll++
		if r.sameBridge(c, r.shares) {
			ofBridge++
		}
	}
	limit := r.limits[slotInbound]
	switch {
	case ofBridge >= max(1, limit/bridgeShare):
		return compat.Reject(compat.RejectFull,
			"the bridge has its quarter of the %d inbound slots, and unconditional_peer_ids does not name it", limit)
	case ofAll >= max(1, limit/bridgesShare):
		return compat.Reject(compat.RejectFull,
			"bridges have their half of the %d inbound slots, and unconditional_peer_ids does not name this one", limit)
	default:
		return nil
	}
}

// sharer is a bridge, and the host from which it connects.
type sharer struct {
	id   types.ID
	host netip.Prefix
}

// sameBridge reports whether the bridge counts as the one that presents the candidate.
func (r *registry) sameBridge(c candidate, by sharer) bool {
	return by.id == c.delegate || by.host == c.host && c.host.IsValid() && !r.allowDuplicateIP
}

// findSharer returns the peer of the same bridge whose place in the share the candidate may take, or
// nil. It is chosen like any peer that gives way, by the networks that the bridge tells: a lie there
// harms only the peers of the bridges at its own host. The caller holds the lock.
func (r *registry) findSharer(c candidate) *connection {
	told := func(p place) bool { return p.trust == toldByStranger && p.near == "" && p.host.IsValid() }
	if c.outbound || !told(c.place) || r.evicts || r.conduct.Refusal("", c.networks()[0]) != nil {
		return nil
	}
	var peers crowd.Crowd[*connection]
	for id, other := range r.byID {
		by := compat.Delegate(other.conn)
		if by == "" || !r.sameBridge(c, sharer{by, other.host}) || other.slot != slotInbound || !told(other.place) || r.lists.isExempt(id) {
			continue
		}
		networks := netgroup.Around(other.place.host.Addr())
		peers.Count(networks)
		if since, runs := other.runsSince(); runs {
			peers.Add(crowd.Resident[*connection]{Holder: other, Since: since, Networks: networks})
		}
	}

	return peers.Loser(netgroup.Around(c.place.host.Addr()), r.limits[slotInbound]/bridgeShare/crowd.Protected, 2)
}
