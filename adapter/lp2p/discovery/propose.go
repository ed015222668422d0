package discovery

import (
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxHints bounds the hints after one walk.
	maxHints = 16
	// A switch without a free slot is told of a few peers once in a while.
	offerInterval = time.Minute
	maxOffered    = 4
)

// openSlots returns how many outbound peers are missing, at most maxHints.
func (d *Discovery) openSlots() int {
	taken, limit := d.client.OutboundSlots()
	if d.opts.maxOutbound != nil {
		limit = min(limit, *d.opts.maxOutbound)
	}
	if taken >= limit {
		return 0
	}

	return int(min(limit-taken, maxHints))
}

// candidate is a peer that may be hinted.
type candidate struct {
	p    peer.ID
	id   types.ID
	at   netip.AddrPort
	seen bool         // this node has found it there
	host netip.Prefix // not valid if others at its IP do not count
}

// hint tells the switch of peers that have answered a query within aliveTTL, half as many
// again as it has open slots, and returns of how many.
func (d *Discovery) hint() int {
	missing := d.openSlots()
	if missing == 0 {
		return 0
	}

	return d.hintSome(d.candidates(), min(missing+missing/2+1, maxHints))
}

// offer tells a switch whose slots are all taken of a few peers that this node has found. The switch
// may try one of another network in the place of a peer (compat.HintDialer), so that whoever once
// has all its slots does not keep them. It ignores most of them, which is no dial that has failed.
func (d *Discovery) offer() {
	client, ok := d.client.(switchClient)
	if !ok {
		return
	}
	taken, limit := client.OutboundSlots()
	if _, tries := client.Switch.(compat.HintDialer); tries && taken >= limit {
		found := slices.DeleteFunc(d.candidates(), func(c candidate) bool { return !c.seen })
		d.hintSome(found, maxOffered)
	}
}

// hintSome hints at most n of the candidates, and returns how many.
func (d *Discovery) hintSome(candidates []candidate, n int) int {
	if d.ctx.Err() != nil {
		return 0
	}
	taken := make(map[netip.Prefix]int)
	for _, p := range d.peers() {
		if ip := netgroup.FromIP(p.RemoteIP()); ip.IsValid() && p.IsOutbound() {
			taken[d.hostOf(ip)]++
		}
	}
	picked := pick(candidates, taken, n)
	hints := make([]*types.NetAddress, 0, len(picked))
	for _, c := range picked {
		addr := netAddress(c.id, c.at)
		if _, err := p2paddr.Learn(d.t.AddrBook(), c.p); err != nil || !c.seen && !d.book.Try(&addr) {
			continue
		}
		d.records.hinted(c.p, c.at, time.Now())
		hints = append(hints, &addr)
	}
	if len(hints) > 0 {
		d.counters.add(&d.counters.Hints, len(hints))
		d.client.DialPeers(hints...)
	}

	return len(hints)
}

// candidates returns the peers that may be hinted now, in any order, one at each
// address.
func (d *Discovery) candidates() (list []candidate) {
	alive := d.records.alive(time.Now())
	mathrand.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	seen := make(map[netip.AddrPort]bool)
	for _, p := range alive {
		id, err := d.ids.Of(p)
		if err != nil || d.isPrivate(id) || d.client.HasPeer(id) {
			continue
		}
		at, found := d.whereIs(p)
		if !at.IsValid() || seen[at] {
			continue
		}
		seen[at] = true
		list = append(list, candidate{p: p, id: id, at: at, seen: found, host: d.hostOf(at.Addr())})
	}

	return list
}

// pick returns up to n candidates. Hosts without an outbound peer come first, and no
// host gets more than maxPerHost, so one host with many keys gets few slots.
func pick(candidates []candidate, taken map[netip.Prefix]int, n int) (picked []candidate) {
	for limit := 1; limit <= maxPerHost; limit++ {
		var rest []candidate
		for _, c := range candidates {
			if len(picked) == n {
				return picked
			}
			if c.host.IsValid() && taken[c.host] >= limit {
				rest = append(rest, c)

				continue
			}
			taken[c.host]++
			picked = append(picked, c)
		}
		candidates = rest
	}

	return picked
}

// whereIs returns the endpoint at which a peer can be dialed, and whether this node has
// found it there: the one where it has answered, else one that it announces. Hints from
// others are not enough.
func (d *Discovery) whereIs(p peer.ID) (at netip.AddrPort, found bool) {
	if at = d.whereNow(p); !at.IsValid() {
		at = d.answeredAt(p)
	}
	if at.IsValid() {
		return at, true
	}
	for _, a := range d.pool.addrsOf(p) {
		if at, ok := d.filter.parse(a); ok {
			return at, false
		}
	}

	return netip.AddrPort{}, false
}
