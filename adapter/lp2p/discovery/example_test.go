package discovery_test

import (
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newSwitch returns a switch on libp2p that enters the DHT at the seeds.
func newSwitch(seeds ...*types.NetAddress) (*adapter.MultiplexSwitch, *lp2p.Transport, error) {
	key, loopback := types.GenerateNodeKey(), net.IPv4(127, 0, 0, 1)
	transport, err := lp2p.NewTransport(types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback},
		Network:    "example", Channels: []byte{channel}, Moniker: "example",
	}, *key, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := transport.Listen(types.NetAddress{IP: loopback}); err != nil {
		return nil, nil, err
	}
	dht, err := discovery.New(transport,
		discovery.WithBootstrapPeers(seeds), discovery.WithWalkInterval(walkInterval))
	if err != nil {
		return nil, nil, err
	}
	sw := adapter.NewMultiplexSwitch(transport, adapter.WithAllowDuplicateIP(true),
		adapter.WithReactor("silent", newSilent()), adapter.WithReactor("dht", dht))

	return sw, transport, sw.Start()
}

// Two nodes that know a third one find each other.
func Example() {
	var seeds []*types.NetAddress
	var ids []types.ID
	var last *adapter.MultiplexSwitch
	for range 3 {
		sw, transport, err := newSwitch(seeds...)
		if err != nil {
			fmt.Println(err)

			return
		}
		defer transport.Close()
		defer sw.Stop()
		addr := transport.NetAddress()
		ids = append(ids, addr.ID)
		if seeds == nil {
			seeds = append(seeds, &addr)
		}
		last = sw
	}

	connected, cancel := last.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
	defer cancel()
	for !last.Peers().Has(ids[0]) || !last.Peers().Has(ids[1]) {
		<-connected
	}
	fmt.Println("the last has found both others")
	// Output: the last has found both others
}
