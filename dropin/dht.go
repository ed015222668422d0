package dropin

import (
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// newDHT returns the discovery reactor of WithDHT. The options override the config.
func newDHT(tr *lp2p.Transport, cfg config.P2PConfig, opts []discovery.Option) (*discovery.Discovery, error) {
	var private []types.ID
	for _, entry := range tomlvalue.SplitList(cfg.PrivatePeerIDs) {
		id := types.ID(entry)
		if id.Validate() == nil { // newPlan logs invalid ones
			private = append(private, id)
		}
	}

	return discovery.New(tr, append([]discovery.Option{
		discovery.WithBootstrapPeers(addresses(tomlvalue.SplitList(cfg.Seeds + "," + cfg.PersistentPeers))),
		discovery.WithMaxOutboundPeers(cfg.MaxNumOutboundPeers),
		discovery.WithAllowDuplicateIP(cfg.AllowDuplicateIP),
		discovery.WithPrivatePeers(private),
	}, opts...)...)
}

// addresses parses the entries and skips invalid ones, which newPlan logs. It resolves host
// names concurrently, for at most 3 s each. A name that does not resolve is kept, since it
// is resolved again at each dial.
func addresses(list []string) []*types.NetAddress {
	addrs := make([]*types.NetAddress, len(list))
	var wg sync.WaitGroup
	for i, entry := range list {
		wg.Go(func() {
			if addr, err := types.NewConfiguredNetAddress(entry); err == nil {
				addrs[i] = addr
			}
		})
	}
	wg.Wait()

	return slices.DeleteFunc(addrs, func(addr *types.NetAddress) bool { return addr == nil })
}
