package discovery

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// watch follows the events of the switch, and gives back idle connections. It never
// waits for the network, so it misses no event.
func (d *Discovery) watch(happened <-chan events.Event) {
	ticker := time.NewTicker(bootstrapTimeout / 2)
	defer ticker.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
			d.pool.expire(time.Now())
		case <-d.unwantedMember.C():
			d.purge()
		case e := <-happened: // closed only after this loop
			switch e := e.(type) {
			case events.DialFailedEvent:
				d.dialFailed(e.Address, e.Reason)
			case events.PeerRejectedEvent:
				p, known := p2paddr.Known(d.t.AddrBook(), e.PeerID)
				if known && compat.ClassifyDial(e.Reason) == compat.DialOtherNetwork {
					d.refusePeer(p, refusedTTL)
				}
			}
		}
	}
}

// dialFailed judges what a failed dial says about a peer.
func (d *Discovery) dialFailed(addr types.NetAddress, reason error) {
	p, known := p2paddr.Known(d.t.AddrBook(), addr.ID)
	if !known {
		return // it was never reached over libp2p
	}
	if compat.IsNoRoute(reason) { // while this machine has no uplink nothing is known of any peer
		d.book.MarkDialFailed(&addr, reason)

		return
	}
	gone, lost := false, true
	switch compat.ClassifyDial(reason) {
	case compat.DialLocal, compat.DialDuplicate:
		return // nothing of the peer; it has dialed us at the same moment
	case compat.DialOtherNetwork:
		d.refusePeer(p, refusedTTL)

		return
	case compat.DialNotTM2:
		if d.refuseUnsupported(p) {
			return
		} // else it may be about to start elsewhere
	case compat.DialBusy, compat.DialClosing, compat.DialRefused:
		lost = false // it is there, and does not want us now
	case compat.DialTimedOut, compat.DialUnclear:
	default:
		gone = true
	}
	d.records.failed(p, addrPort(&addr), d.answeredAt(p), gone, time.Now())
	if gone {
		d.book.MarkDialFailed(&addr, reason)
	}
	if lost {
		d.records.lost(p, d.configured[addr.ID], time.Now())
	}
}

// refuseUnsupported refuses a peer that does not speak TM2's protocols, unless it is a
// known node: such a node is shutting down. It reports whether it has refused the peer.
func (d *Discovery) refuseUnsupported(p peer.ID) bool {
	if d.isKnownNode(p) {
		return false
	}
	d.refusePeer(p, shortRefusedTTL)

	return true
}

// isKnownNode reports whether the peer is configured, was found to be of this network, or
// has had a session with this node.
func (d *Discovery) isKnownNode(p peer.ID) bool {
	record := d.records.of(p)

	return d.isConfigured(p) || record.search.wanted() || record.wasOurs()
}

// refusePeer ignores a peer of another network for the TTL, whatever it says in the
// DHT. For a known node the TTL is at most shortRefusedTTL.
func (d *Discovery) refusePeer(p peer.ID, ttl time.Duration) {
	if d.isKnownNode(p) {
		ttl = min(ttl, shortRefusedTTL)
	}
	d.counters.add(&d.counters.PeersRefused, 1)
	var from netip.Addr
	if ips := d.ipsOf(p); len(ips) > 0 {
		from = ips[0]
	}
	d.refused.Event(slog.LevelInfo, from, "peer of another network is left out of the DHT", "network", "peer", p, "for", ttl)
	d.records.refuse(p, ttl, time.Now())
	d.evict(p)
}

// purge removes members that became unwanted while kad-dht was adding them.
func (d *Discovery) purge() {
	for _, p := range d.dht.RoutingTable().ListPeers() {
		if d.unwanted(p) {
			d.evict(p)
		}
	}
}
