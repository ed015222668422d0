package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// watch learns from what comes of dials, and gives idle connections back. It never
// waits for the network, so that no event is missed.
func (d *Discovery) watch(happened <-chan events.Event) {
	ticker := time.NewTicker(bootstrapTimeout / 2)
	defer ticker.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
			d.pool.expire(time.Now())
		case <-d.unwantedMember:
			d.purge()
		case e := <-happened: // closed only after this loop
			switch e := e.(type) {
			case events.DialFailedEvent:
				d.dialFailed(e.Address, e.Reason)
			case events.PeerRejectedEvent:
				if isForeign(e.Reason) {
					d.refuse(e.PeerID, refusedTTL)
				}
			}
		}
	}
}

// dialFailed judges what a failed dial says about a peer.
func (d *Discovery) dialFailed(addr types.NetAddress, reason error) {
	if errors.Is(reason, context.Canceled) || errors.Is(reason, compat.ErrTransportClosed) {
		return
	}
	id := addr.ID
	pid, known := p2paddr.Known(d.t.AddrBook(), id)
	if !known {
		return // it was never reached over libp2p
	}
	at := addrPort(&addr)
	var reject *compat.RejectError
	switch {
	case isForeign(reason):
		d.refuse(id, refusedTTL)
	case errors.Is(reason, lp2p.ErrNoSessions):
		d.refuse(id, strangeTTL)
	case errors.As(reason, &reject) && reject.Code == compat.RejectDuplicate:
		// It has dialed us at the same moment.
	case reject != nil, errors.Is(reason, lp2p.ErrBusy):
		d.records.failed(pid, at, d.answeredAt(pid), false, time.Now()) // it is there, and does not want us now
	default:
		d.records.failed(pid, at, d.answeredAt(pid), true, time.Now())
		d.book.MarkFailed(&addr)
		d.wanted.lost(id)
	}
}

// isForeign reports whether a refusal, by either side, says that the peer is no
// node of this network.
func isForeign(reason error) bool {
	var reject *compat.RejectError

	return errors.As(reason, &reject) && reject.Code == compat.RejectIncompatible
}

// refuse is refusePeer for a peer that was dialed.
func (d *Discovery) refuse(id types.ID, ttl time.Duration) {
	if pid, known := p2paddr.Known(d.t.AddrBook(), id); known {
		d.refusePeer(pid, ttl)
	}
}

// refusePeer has nothing to do for a time with a peer that is of another network,
// whatever it says in the DHT.
func (d *Discovery) refusePeer(p peer.ID, ttl time.Duration) {
	d.counters.peersRefused.Add(1)
	d.Logger.Info("peer of another network is left out of the DHT", "peer", p, "for", ttl)
	d.records.refuse(p, ttl, time.Now())
	d.evict(p)
}

// purge takes those out of the routing table who have come to be unwanted while
// they were being added.
func (d *Discovery) purge() {
	for _, p := range d.dht.RoutingTable().ListPeers() {
		if d.unwanted(p) {
			d.evict(p)
		}
	}
}
