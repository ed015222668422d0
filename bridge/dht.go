package bridge

import (
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxFound is how many useful targets of the DHT are enough: it is searched while there
// are fewer.
const maxFound = 16

// startDHT looks for libp2p nodes in the DHT of the configured network, if there is one.
// The bridge is a client of the DHT, because it is no node of the network.
func (b *Bridge) startDHT(side *lp2p.Transport) error {
	if b.config.Libp2pNetwork == "" {
		return nil
	}
	opts := append([]discovery.Option{
		discovery.WithClient(dhtClient{b}),
		discovery.WithBootstrapPeers(b.libp2pTargets.open()),
		discovery.WithPrivatePeers(b.config.PrivatePeers),
		discovery.WithMode(discovery.ModeClient),
	}, b.dhtOptions...)
	d, err := discovery.New(side, opts...)
	if err != nil {
		return err
	}
	d.SetLogger(b.logger)
	b.libp2pTargets.lost = d.Wake // nothing is released before the bridge accepts
	if err := d.Start(); err != nil {
		return err
	}
	b.dht.Store(d)

	return nil
}

// dhtClient makes targets of the nodes that discovery finds.
type dhtClient struct{ *Bridge }

var _ discovery.Client = dhtClient{}

// DialPeers implements discovery.Client. The nodes have proved their IDs, and become
// targets.
func (c dhtClient) DialPeers(addrs ...*types.NetAddress) {
	for _, addr := range addrs {
		isNew := c.book.Add(addrbook.Source{ID: addr.ID, IP: addr.IP}, addr) > 0
		c.libp2pTargets.appeared(addr.ID, isNew, true)
	}
}

// HasPeer implements discovery.Client. A configured target that has not failed needs no
// search.
func (c dhtClient) HasPeer(id types.ID) bool {
	return slices.ContainsFunc(c.libp2pTargets.all(dialer{}), func(t *target) bool {
		return t.configured && t.failures == 0 && t.addr.ID == id
	})
}

// OutboundSlots implements discovery.Client.
func (c dhtClient) OutboundSlots() (taken, limit uint64) {
	for _, t := range c.libp2pTargets.all(dialer{}) {
		taken += uint64(bit(t.isUseful()))
	}

	return taken, maxFound
}

// Subscribe implements discovery.Client. The events name targets that could not be
// reached.
func (c dhtClient) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	return c.missed.Subscribe(filter)
}
