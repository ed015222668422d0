package dropin

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// channelDiscovery is the channel of TM2's discovery reactor (docs/wire.md §6).
const channelDiscovery byte = 0x50

var (
	errNoConfig    = errors.New("no p2p config")
	errNoTransport = errors.New("no transport")
	errOtherID     = errors.New("node IDs differ")
	errOneStack    = errors.New("WithStack and WithDial are options of NewDualSwitch and NewConfiguredSwitch")
)

// FromP2PConfig converts the section [p2p] from gno's type. Keys that gno does not have get
// our defaults, and so do those that only a gno changed by cmd/gnobuild has, if they are zero.
func FromP2PConfig(gno gnoconfig.P2PConfig) config.P2PConfig {
	ours := *config.DefaultP2PConfig()
	from := tomlvalue.Fields(&gno)
	for key, field := range tomlvalue.Fields(&ours) {
		if value, ok := from[key]; ok {
			if v := reflect.ValueOf(value).Elem(); !v.IsZero() || !slices.Contains(ownKeys, key) {
				reflect.ValueOf(field).Elem().Set(v)
			}
		}
	}

	return ours
}

// plan holds the converted arguments of New*.
type plan struct {
	// key, info and listen are set by identify, which NewSwitch does not need.
	key      types.NodeKey
	info     types.NodeInfo
	listen   types.NetAddress
	cfg      config.P2PConfig
	reactors map[string]p2p.Reactor
	options  []adapter.SwitchOption
	proxies  []netip.Prefix // in front of the listener
	// discovers tells whether a reactor of the node has the discovery channel.
	discovers bool
	logger    *slog.Logger
}

// newPlan returns the plan of a switch on any transport.
func newPlan(cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, logger *slog.Logger) (*plan, error) {
	if cfg == nil {
		return nil, errNoConfig
	}

	return newPlanOf(FromP2PConfig(*cfg), reactors, logger)
}

// newPlanOf is newPlan for a config of ours.
func newPlanOf(cfg config.P2PConfig, reactors map[string]p2p.Reactor, logger *slog.Logger) (*plan, error) {
	p := &plan{
		cfg: cfg, reactors: reactors, logger: orDiscard(logger),
		discovers: slices.ContainsFunc(channels(reactors), isDiscovery),
	}
	if err := p.cfg.ValidateBasic(); err != nil {
		return nil, err
	}
	proxies, err := p.cfg.ProxyNetworks()
	if err != nil {
		return nil, err
	}
	p.proxies = proxies
	for _, warning := range p.cfg.Warnings() {
		p.logger.Warn(warning)
	}
	options, err := p.cfg.SwitchOptions()
	if err != nil {
		// As in gno, the node works without the invalid entries.
		p.logger.Error("invalid entries of the p2p config are ignored", "err", err)
	}
	p.options = append(options, reactorOptions(reactors)...)

	return p, nil
}

// newNodePlan returns the plan of a switch that makes its transport.
func newNodePlan(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
) (*plan, error) {
	p, err := newPlan(cfg, reactors, logger)
	if err != nil {
		return nil, err
	}

	return p, p.identify(nodeInfo, nodeKey)
}

// identify sets the node's key, NodeInfo and addresses.
func (p *plan) identify(nodeInfo gnotypes.NodeInfo, nodeKey gnotypes.NodeKey) error {
	p.key, p.info = FromNodeKey(nodeKey), FromNodeInfo(nodeInfo)

	return p.addresses()
}

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}

	return logger
}

// warnOfDiscovery warns when pex is true but no reactor discovers peers.
func (p *plan) warnOfDiscovery() {
	if p.cfg.PeerExchange && !p.discovers {
		p.logger.Warn("[p2p].pex is true, but no reactor has the discovery channel", "channel", channelDiscovery)
	}
}

// warnOfPlace warns when peers cannot tell others the address in the NodeInfo. A DHT tells the
// addresses of the network interfaces too. None of them is public then (see addresses), so it
// only has the node found on a private network.
func (p *plan) warnOfPlace(withDHT bool) {
	if warning := p.cfg.UnknownPlace(*p.info.NetAddress); warning != "" {
		if withDHT {
			warning = "outside of its private network " + warning
		}
		p.logger.Warn(warning, "advertised", p.info.NetAddress.DialString())
	}
}

// idleOverLibp2p lists the keys that mean nothing over libp2p, and why (docs/dropin.md).
var idleOverLibp2p = []struct{ key, reason string }{
	{"flush_throttle_timeout", "nothing is held back"},
	{"max_packet_msg_payload_size", "messages are not cut into packets"},
	{"max_recv_buffer_bytes", "20 MiB each, gno's default"},
	{"max_send_buffer_bytes", "20 MiB each, gno's default"},
}

// warnOfIdleKeys warns of each key that was changed and means nothing over libp2p.
func (p *plan) warnOfIdleKeys() {
	values, defaults := tomlvalue.Fields(&p.cfg), tomlvalue.Fields(config.DefaultP2PConfig())
	for _, idle := range idleOverLibp2p {
		if !reflect.DeepEqual(values[idle.key], defaults[idle.key]) {
			p.logger.Warn("[p2p]."+idle.key+" has no effect over libp2p", "why", idle.reason)
		}
	}
}

// addresses sets the listen address and the address that the NodeInfo advertises.
func (p *plan) addresses() error {
	id := p.key.ID()
	listen, err := p.cfg.ListenNetAddress(id)
	if err != nil {
		return err
	}
	p.listen = listen
	if own := p.info.NetAddress; own != nil && own.ID != id {
		return fmt.Errorf("%w: the NodeInfo has %s, the node key %s", errOtherID, own.ID, id)
	}
	own := p.info.NetAddress
	named := own != nil && p.cfg.ExternalAddress == "" // an address that the program has chosen
	if named && !own.IP.IsUnspecified() {
		return nil
	}
	advertised, err := p.cfg.AdvertisedNetAddress(id)
	if err != nil {
		return err
	}
	if named && own.Port != 0 {
		advertised.Port = own.Port
	}
	p.info.NetAddress = &advertised

	return nil
}

// reactorOptions returns options for the reactors in the order of their names, so that a
// node always starts them in the same order.
func reactorOptions(reactors map[string]p2p.Reactor) []adapter.SwitchOption {
	options := make([]adapter.SwitchOption, 0, len(reactors))
	for _, name := range slices.Sorted(maps.Keys(reactors)) {
		options = append(options, adapter.WithReactor(name, FromReactor(reactors[name])))
	}

	return options
}

// channels returns the channel descriptors of all reactors. It skips nil ones, which the
// switch reports.
func channels(reactors map[string]p2p.Reactor) []*compat.ChannelDescriptor {
	var descs []*compat.ChannelDescriptor
	for _, r := range reactors {
		if r == nil {
			continue
		}
		for _, d := range FromChannelDescriptors(r.GetChannels()) {
			if d != nil {
				descs = append(descs, d)
			}
		}
	}

	return descs
}

func isDiscovery(d *compat.ChannelDescriptor) bool { return d.ID == channelDiscovery }

func wrapNew(stack string, err error) error { return fmt.Errorf("%s switch: %w", stack, err) }
