// Command gno-v1.2.0 is a peer of gno v1.2.0. Tests control it over stdin and stdout; see
// packages program and protocol.
package main

import (
	"path/filepath"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/gnonode"
)

func main() {
	program.Main(gnonode.New(gnonode.Release{
		AllowDuplicateIP:   p2p.WithAllowDuplicateIP,
		NewDiscovery:       newDiscovery,
		BlockchainCapacity: 8454144,
	}))
}

func newDiscovery(d gnonode.Discovery) (*discovery.Reactor, error) {
	store, err := discovery.NewStore(filepath.Join(d.Dir, "addrbook.json"), d.Self, discovery.WithLogger(d.Logger))
	if err != nil {
		return nil, err
	}

	return discovery.NewReactor(store, discovery.WithDiscoveryInterval(d.Period)), nil
}
