// Command gno-v1.1.0 is a peer of gno v1.1.0. Tests control it over stdin and stdout; see
// packages program and protocol.
package main

import (
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/gnonode"
)

func main() {
	program.Main(gnonode.New(gnonode.Release{
		NewDiscovery:       newDiscovery,
		BlockchainCapacity: 104857605,
	}))
}

func newDiscovery(d gnonode.Discovery) (*discovery.Reactor, error) {
	return discovery.NewReactor(discovery.WithDiscoveryInterval(d.Period)), nil
}
