package dropin

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
)

// Option changes what NewLibp2pSwitch makes of the config.
type Option func(*options)

type options struct {
	sw     []adapter.SwitchOption
	libp2p []lp2p.Option
}

// WithSwitchOptions adds options of the switch, which count over the config: for
// example adapter.WithUnconditionalPeers, for which gno has no key, or
// adapter.WithReactor for a reactor of ours.
func WithSwitchOptions(opts ...adapter.SwitchOption) Option {
	return func(o *options) { o.sw = append(o.sw, opts...) }
}

// WithLibp2pOptions adds options of the libp2p transport, which count over the
// config: for example lp2p.WithQUIC.
func WithLibp2pOptions(opts ...lp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}
