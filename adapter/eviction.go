package adapter

import (
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/crowd"
)

// The first peers to connect must not hold the inbound slots for ever. When all slots are
// taken, a newcomer may take the place of a peer in a more crowded network (package crowd). If no
// network is more crowded than the newcomer's own, the newcomer is refused.

const usefulUptime = conduct.UsefulUptime

// errEvicted is the reason for ending the connection of a peer that gives way.
var errEvicted = compat.Reject(compat.RejectFull,
	"all slots, or those of the bridge, are taken, and a peer of a less crowded network takes the place (max_num_inbound_peers)")

// findLoser returns the peer whose slot the candidate may take, or nil: the youngest
// peer of the most crowded network. Exempt peers, those that an exempt peer presents from no public
// host, peers that are being admitted, and those that have been connected longest stay. The caller
// holds the lock.
func (r *registry) findLoser(c candidate) *connection {
	networks := c.networks()
	if c.outbound && !c.tries || !c.host.IsValid() || r.evicts || r.conduct.Refusal("", networks[0]) != nil {
		return nil
	}
	protected, gain := r.limits[slotInbound]/crowd.Protected, 2
	if c.outbound { // it is the only one of its network
		protected, gain = maxAnchors, 1
	}
	peers := r.residents(c.own())

	return peers.Loser(networks, protected, gain)
}

// residents returns the peers in slots of the kind that are not exempt. Those that run could give way.
// The caller holds the lock.
func (r *registry) residents(kind slot) (peers crowd.Crowd[*connection]) {
	for id, c := range r.byID {
		if c.slot != kind || !c.host.IsValid() || r.lists.isExempt(id) {
			continue
		}
		if !c.place.isBelieved() && r.lists.isExempt(compat.Delegate(c.conn)) {
			continue
		}
		peers.Count(c.networks)
		if since, runs := c.runsSince(); runs {
			peers.Add(crowd.Resident[*connection]{Holder: c, Since: since, Networks: c.networks})
		}
	}

	return peers
}
