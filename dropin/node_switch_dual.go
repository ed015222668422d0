package dropin

import (
	"cmp"
	"log/slog"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
)

// NewDualSwitch is NewLibp2pSwitch for gno nodes and libp2p peers at one port (adapter/dual).
// By default it accepts both, and dials each node on a stack that the node speaks: libp2p
// where it speaks both. WithStack and WithDial change that (docs/migration.md).
//
// The reactors run over both stacks. One of package pex shares its address book with the
// libp2p stack and a DHT, unless WithLibp2pOptions has another one.
func NewDualSwitch(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...Option,
) (*Switch, error) {
	p, err := newNodePlan(nodeInfo, nodeKey, cfg, reactors, logger)
	if err != nil {
		return nil, wrapNew("dual", err)
	}

	o := newOptions(opts)
	p.reportStacks(o)

	return p.dualSwitch(o)
}

func (p *plan) dualSwitch(o *options) (*Switch, error) {
	if err := p.refuseTunnels(o); err != nil {
		return nil, wrapNew("dual", err)
	}
	p.warnOfPlace(o.withDHT)
	tr, err := dual.NewTransport(p.info, p.key, p.cfg.MConnConfig(), p.logger,
		dual.WithStack(cmp.Or(o.stack, dual.StackDual)), dual.WithDial(cmp.Or(o.dial, dual.DialAuto)),
		dual.WithNative(native.WithProxyProtocol(p.proxies...)), dual.WithLibp2p(p.libp2pOptions(o)...))
	if err != nil {
		return nil, wrapNew("dual", err)
	}

	return p.switchOver("dual", tr, tr.Libp2p(), o)
}
