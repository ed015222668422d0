package dropin

import (
	"slices"
	"strings"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newDHT returns the discovery of WithDHT. The options follow what the config says.
func newDHT(tr *lp2p.Transport, cfg config.P2PConfig, opts []discovery.Option) (*discovery.Discovery, error) {
	var private []types.ID
	for _, entry := range entries(cfg.PrivatePeerIDs) {
		id := types.ID(entry)
		if id.Validate() == nil { // others are logged with the options of the switch
			private = append(private, id)
		}
	}

	return discovery.New(tr, append([]discovery.Option{
		discovery.WithBootstrapPeers(addresses(slices.Concat(entries(cfg.Seeds), entries(cfg.PersistentPeers)))),
		discovery.WithMaxOutboundPeers(cfg.MaxNumOutboundPeers),
		discovery.WithAllowDuplicateIP(cfg.AllowDuplicateIP),
		discovery.WithPrivatePeers(private),
	}, opts...)...)
}

// addresses are the entries that can be used; the others are logged with the options
// of the switch. Names are looked up side by side, each within 3 s, and one that
// cannot be found now counts: it is looked up again at each dial.
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

// entries of a list that commas separate.
func entries(list string) []string {
	var all []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}

	return all
}
