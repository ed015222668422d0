package dropin

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

// Option changes what NewLibp2pSwitch makes of the config.
type Option func(*options)

type options struct {
	sw      []adapter.SwitchOption
	libp2p  []lp2p.Option
	withDHT bool
	dht     []discovery.Option
}

// WithSwitchOptions adds options of the switch, which count over the config: for
// example adapter.WithUnconditionalPeers, for which gno has no key, or
// adapter.WithReactor for a reactor of ours. The limits of libp2p follow from the
// config alone: where an option lets more peers in, lp2p.WithPeerLimits has to tell
// libp2p.
func WithSwitchOptions(opts ...adapter.SwitchOption) Option {
	return func(o *options) { o.sw = append(o.sw, opts...) }
}

// WithLibp2pOptions adds options of the libp2p transport, which count over the
// config: lp2p.WithQUIC, those about NATs (docs/nat.md), lp2p.WithPrometheus, and
// all others.
func WithLibp2pOptions(opts ...lp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}

// WithDHT lets the node find peers by a DHT (docs/discovery-dht.md) if the pex of
// the config is true; if it is not, there is none. It is a reactor of the name "DHT",
// after those of the node; gno's own discovery may be among these. The DHT is entered
// at the seeds and persistent_peers, looks for as many peers as
// max_num_outbound_peers says, and tells nobody of private_peer_ids. Options count
// over that.
func WithDHT(opts ...discovery.Option) Option {
	return func(o *options) { o.withDHT, o.dht = true, append(o.dht, opts...) }
}
