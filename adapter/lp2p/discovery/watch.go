package discovery

import (
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
	id := addr.ID
	pid, known := p2paddr.Known(d.t.AddrBook(), id)
	if !known {
		return // it was never reached over libp2p
	}
	at := addrPort(&addr)
	switch failure := compat.ClassifyDial(reason); failure {
	case compat.DialLocal, compat.DialDuplicate: // nothing of the peer; it has dialed us at the same moment
	case compat.DialOtherNetwork:
		d.refusePeer(pid, refusedTTL)
	case compat.DialNotTM2:
		if !d.refuseUnsupported(pid) {
			d.records.failed(pid, at, d.answeredAt(pid), false, time.Now())
			d.wanted.lost(id) // it may be about to start elsewhere
		}
	case compat.DialBusy, compat.DialClosing, compat.DialRefused:
		d.records.failed(pid, at, d.answeredAt(pid), false, time.Now()) // it is there, and does not want us now
	default:
		gone := failure != compat.DialTimedOut && failure != compat.DialUnclear
		d.records.failed(pid, at, d.answeredAt(pid), gone, time.Now())
		if gone {
			d.book.MarkDialFailed(&addr, reason)
		}
		d.wanted.lost(id)
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
	id, err := d.ids.of(p)
	if err != nil {
		return false
	}
	known, _ := d.wanted.has(id)

	return known || d.records.wasOurs(p)
}

// refusePeer ignores a peer of another network for the TTL, whatever it says in the
// DHT. For a known node the TTL is at most shortRefusedTTL.
func (d *Discovery) refusePeer(p peer.ID, ttl time.Duration) {
	if d.isKnownNode(p) {
		ttl = min(ttl, shortRefusedTTL)
	}
	d.counters.add(&d.counters.PeersRefused, 1)
	d.Logger.Info("peer of another network is left out of the DHT", "peer", p, "for", ttl)
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
