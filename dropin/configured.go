package dropin

import (
	"cmp"
	"log/slog"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
)

// NewConfiguredSwitch is NewDualSwitch for a node whose operator chooses the stack when it
// runs. It reads the keys of [p2p] that gno does not have, such as stack, dial, quic and dht,
// from the home directory of the config and the environment. Of several values the first of
// these counts:
//
//  1. the environment, as TM2_P2P_STACK
//  2. the section [p2p] of config/p2p.toml
//  3. the section [p2p] of config/config.toml, from which `gnoland config set` removes them
//  4. WithStack and WithDial, and else the defaults of package config
//
// A value that cannot be used is an error that names the file or the variable, the key, and
// what is permitted. The choice is logged in one line. Where only one stack is wanted, for
// accepting and for dialing, the switch is that of NewNativeSwitch or NewLibp2pSwitch. Other
// options override the keys.
func NewConfiguredSwitch(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...Option,
) (*Switch, error) {
	p, o, err := newConfiguredPlan(cfg, reactors, logger, newOptions(opts))
	if err == nil {
		err = p.identify(nodeInfo, nodeKey)
	}
	if err != nil {
		return nil, wrapNew("configured", err)
	}
	p.reportStacks(o)
	switch {
	case o.stack == dual.StackNative && o.dial == dual.DialNative:
		if o.withDHT && !p.cfg.DHT || len(o.libp2p) > 0 { // the keys have warnings of their own
			p.logger.Warn("the DHT and other options of libp2p have no effect: [p2p].stack and dial are native")
		}

		return p.nativeSwitch(o)
	case o.stack == dual.StackLibp2p && o.dial == dual.DialLibp2p:
		p.exportMetrics(o)

		return p.libp2pSwitch(o)
	default:
		p.exportMetrics(o)

		return p.dualSwitch(o)
	}
}

// newConfiguredPlan returns the plan of a switch and its options as the operator wants them,
// and logs them.
func newConfiguredPlan(
	cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, logger *slog.Logger, o *options,
) (*plan, *options, error) {
	if cfg == nil {
		return nil, nil, errNoConfig
	}
	ours := FromP2PConfig(*cfg)
	ours.Stack, ours.Dial = cmp.Or(string(o.stack), ours.Stack), cmp.Or(string(o.dial), ours.Dial)
	if err := ours.ValidateBasic(); err != nil {
		return nil, nil, err
	}
	s, err := readSettings(ours)
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range s.warnings {
		orDiscard(logger).Warn(warning)
	}
	orDiscard(logger).Info("p2p stack", s.shown()...)
	o.stack, o.dial = dual.Stack(s.cfg.Stack), dual.DialPolicy(s.cfg.Dial)
	o.withDHT = o.withDHT || s.cfg.DHT
	p, err := newPlanOf(s.cfg, reactors, logger)

	return p, o, err
}
