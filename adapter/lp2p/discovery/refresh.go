package discovery

import "math/rand/v2"

// refresh finds out which members of the routing table are still there, and of this
// network, looks up what has not been looked up for long, and asks one of the
// bootstrap peers, so that two parts of a network that lost each other come together
// again.
func (d *Discovery) refresh() {
	d.counters.refreshes.Add(1)
	if addrs := d.opts.bootstrap; len(addrs) > 0 {
		d.enterAt(addrs[rand.IntN(len(addrs))])
	}
	select {
	case err := <-d.dht.RefreshRoutingTable():
		if err != nil && d.ctx.Err() == nil {
			d.Logger.Debug("refresh of the routing table was not finished", "err", err)
		}
	case <-d.ctx.Done():
	}
	d.checkMembers()
}
