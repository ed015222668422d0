package bridge

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxFound is how many targets of use the bridge wants to have found in the DHT, which
// is searched while there are fewer.
const maxFound = 16

// startDHT begins to look for libp2p nodes of the configured network, if there is
// one. The bridge asks the DHT and takes no part in it: it is no node of the network.
func (b *Bridge) startDHT(side *lp2p.Transport) error {
	if b.config.Libp2pNetwork == "" {
		return nil
	}
	opts := append([]discovery.Option{
		discovery.WithClient(dhtClient{b}),
		discovery.WithBootstrapPeers(b.config.Libp2pPeers),
		discovery.WithPrivatePeers(b.config.PrivatePeers),
		discovery.WithMode(discovery.ModeClient),
	}, b.dhtOptions...)
	d, err := discovery.New(side, opts...)
	if err != nil {
		return err
	}
	d.SetLogger(b.logger)
	if err := d.Start(); err != nil {
		return err
	}
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.dht = d

	return nil
}

// stopDHT waits for everything that startDHT has begun.
func (b *Bridge) stopDHT() error {
	b.mtx.Lock()
	d := b.dht
	b.mtx.Unlock()
	if d == nil {
		return nil
	}

	return d.Stop()
}

// dht is what the bridge asks of discovery once it runs.
type dht interface {
	Stop() error
	// Wake tells it that one of the nodes which it has found is of no use.
	Wake()
}

// findMore tells discovery that a target which it has found is of no use.
func (b *Bridge) findMore() {
	b.mtx.Lock()
	d := b.dht
	b.mtx.Unlock()
	if d != nil {
		d.Wake()
	}
}

// dhtClient makes targets of the nodes that discovery finds.
type dhtClient struct{ *Bridge }

var _ discovery.Client = dhtClient{}

// DialPeers implements discovery.Client: the nodes, which have proved to be at these
// addresses, are targets.
func (c dhtClient) DialPeers(addrs ...*types.NetAddress) {
	for _, addr := range addrs {
		if addr.Dialable() {
			c.libp2pTargets.learnFound(*addr, sourceOf(netgroup.FromIP(addr.IP)))
		}
	}
}

// HasPeer implements discovery.Client: a node that is configured, and has not failed,
// needs no search.
func (c dhtClient) HasPeer(id types.ID) bool { return c.libp2pTargets.isServing(id) }

// OutboundSlots implements discovery.Client.
func (c dhtClient) OutboundSlots() (taken, limit uint64) {
	return c.libp2pTargets.countFound(), maxFound
}

// Subscribe implements discovery.Client. The events tell which targets were not
// reached.
func (c dhtClient) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	return c.missed.Subscribe(filter)
}
