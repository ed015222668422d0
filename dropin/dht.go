package dropin

import (
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

// newDHT returns the discovery reactor of WithDHT. The options override the config.
func newDHT(tr *lp2p.Transport, cfg config.P2PConfig, opts []discovery.Option) (*discovery.Discovery, error) {
	lists, _ := cfg.PeerLists() // newPlan logs invalid entries

	return discovery.New(tr, append([]discovery.Option{
		discovery.WithBootstrapPeers(slices.Concat(lists.Seeds, lists.Persistent)),
		discovery.WithMaxOutboundPeers(cfg.MaxNumOutboundPeers),
		discovery.WithAllowDuplicateIP(cfg.AllowDuplicateIP),
		discovery.WithPrivatePeers(lists.Private),
	}, opts...)...)
}
