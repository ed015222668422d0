package dropin

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Option configures NewLibp2pSwitch, NewDualSwitch and NewConfiguredSwitch.
type Option func(*options)

type options struct {
	stack   dual.Stack      // empty: not given
	dial    dual.DialPolicy // empty: not given
	sw      []adapter.SwitchOption
	libp2p  []lp2p.Option
	withDHT bool
	dht     []discovery.Option
	report  time.Duration // reportInterval but in tests

	bridges  []types.NetAddress // of WithTunnels
	tunneled []types.ID
}

func newOptions(opts []Option) *options {
	o := &options{report: reportInterval}
	for _, opt := range opts {
		opt(o)
	}

	return o
}

// WithStack sets which peers NewDualSwitch accepts, in place of dual.StackDual. For
// NewConfiguredSwitch it is the default when the operator has set no stack. NewLibp2pSwitch
// refuses it.
func WithStack(s dual.Stack) Option { return func(o *options) { o.stack = s } }

// WithDial is WithStack for the stack on which the node dials, in place of dual.DialAuto.
func WithDial(p dual.DialPolicy) Option { return func(o *options) { o.dial = p } }

// WithSwitchOptions adds options of the switch, which override the config. Examples are
// adapter.WithUnconditionalPeers, for which gno has no key, and adapter.WithReactor for a
// reactor of package compat. The limits of libp2p follow from the config alone: when an
// option admits more peers, add lp2p.WithPeerLimits by WithLibp2pOptions.
func WithSwitchOptions(opts ...adapter.SwitchOption) Option {
	return func(o *options) { o.sw = append(o.sw, opts...) }
}

// WithLibp2pOptions adds options of the libp2p transport, which override the config, such as
// lp2p.WithQUIC, lp2p.WithPrometheus and those for NATs (docs/nat.md).
func WithLibp2pOptions(opts ...lp2p.Option) Option {
	return func(o *options) { o.libp2p = append(o.libp2p, opts...) }
}

// WithTunnels gives a node on libp2p alone native peers through tunnels of the bridges
// (docs/bridge.md), which are named as ID and address of their libp2p side. They dial the node by
// its own ID at a bridge, and the node dials those among its persistent peers that peers lists
// through a bridge. It adds to the keys tunnel_bridges and tunnel_peer_ids, and is refused by a
// switch that has native connections of its own.
func WithTunnels(bridges []types.NetAddress, peers ...types.ID) Option {
	return func(o *options) {
		o.bridges, o.tunneled = append(o.bridges, bridges...), append(o.tunneled, peers...)
	}
}

// WithDHT makes the node find peers in a DHT (docs/discovery-dht.md) if pex is true in the
// config; otherwise it has no effect. The DHT is a reactor named "DHT", after those of the
// node, which may include gno's own discovery. It bootstraps from the seeds and
// persistent_peers, looks for up to max_num_outbound_peers peers, and never announces
// private_peer_ids. The options override these settings.
func WithDHT(opts ...discovery.Option) Option {
	return func(o *options) { o.withDHT, o.dht = true, append(o.dht, opts...) }
}
