package dropin

import (
	"log/slog"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	_ p2p.Switch         = (*Switch)(nil)
	_ gnoservice.Service = (*Switch)(nil)
	_ service.Service    = (*Switch)(nil)
)

// Switch implements gno's p2p.Switch and service.Service. All methods may be called
// concurrently.
//
// Errors of Start, Stop and Reset match the sentinels of gno's package service. A switch
// can be started once; Reset returns an error.
type Switch struct {
	toSwitch
	service.BaseService

	mux       *adapter.MultiplexSwitch
	transport compat.Transport
	own       compat.ListeningTransport // transport, or nil when the caller owns it
	listen    types.NetAddress          // of own

	listening sync.Mutex
	listens   bool

	starting sync.Mutex // held by Start, and by Close to exclude Start
	closed   bool       // by Close, without a Start
}

// NewNativeSwitch returns a switch that runs the reactors over TM2's own protocol, so its
// peers may be gno nodes. It listens at the laddr of the config, from Listen or Start until
// Stop. Close releases a switch that was never started.
//
// docs/dropin.md lists the use of each key of the config. Invalid entries of its lists are
// logged and ignored, as in gno; any other invalid value is an error that names the key.
// The advertised address is the external_address of the config, else the NetAddress of
// nodeInfo, else the laddr. Port 0 is replaced by the port of the listener.
//
// Unlike in gno, the order of the reactors is defined: they are started and called in the
// order of their names, and stopped in the reverse order. Start fails when a reactor is nil,
// or when one of its channels is invalid or belongs to another reactor.
//
// Options override the config. A nil logger discards.
func NewNativeSwitch(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...adapter.SwitchOption,
) (*Switch, error) {
	p, err := newNodePlan(nodeInfo, nodeKey, cfg, reactors, logger)
	if err != nil {
		return nil, wrapNew("native", err)
	}

	return p.nativeSwitch(&options{sw: opts})
}

func (p *plan) nativeSwitch(o *options) (*Switch, error) {
	if err := p.refuseTunnels(o); err != nil {
		return nil, wrapNew("native", err)
	}
	opts := o.sw
	if len(opts) == 0 { // options may add reactors, whose channels are unknown here
		p.warnOfDiscovery()
	}
	p.warnOfPlace(false) // a DHT has no effect here
	tr := native.NewMultiplexTransport(p.info, p.key, p.cfg.MConnConfig(), p.logger.With("transport", "native"),
		native.WithProxyProtocol(p.proxies...))

	return newSwitch("native", tr, tr, p, opts), nil
}

// NewLibp2pSwitch is NewNativeSwitch over libp2p. Its peers are other nodes with this
// switch, or gno nodes behind a bridge. Addresses have the same form, ID@host:port. Options
// configure features for which gno has no key, such as QUIC, NAT services, metrics and a
// DHT.
func NewLibp2pSwitch(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...Option,
) (*Switch, error) {
	p, err := newNodePlan(nodeInfo, nodeKey, cfg, reactors, logger)
	if err != nil {
		return nil, wrapNew("libp2p", err)
	}
	o := newOptions(opts)
	if o.stack != "" || o.dial != "" {
		return nil, wrapNew("libp2p", errOneStack)
	}

	return p.libp2pSwitch(o)
}

func (p *plan) libp2pSwitch(o *options) (*Switch, error) {
	if err := p.tunnels(o); err != nil {
		return nil, wrapNew("libp2p", err)
	}
	if len(o.bridges) == 0 {
		p.warnOfIdleKeys()
	}
	p.warnOfPlace(o.withDHT)
	side, err := lp2p.NewTransport(p.info, p.key, p.logger.With("transport", "libp2p"), p.libp2pOptions(o)...)
	if err != nil {
		return nil, wrapNew("libp2p", err)
	}

	return p.switchOver("libp2p", p.inTunnels(side, o), side, o)
}

// NewSwitch is NewNativeSwitch on a transport of any stack that the caller owns. The caller
// makes it listen before Start and closes it after Stop. Only the keys of the config that
// docs/dropin.md lists for the switch are used.
func NewSwitch(
	transport compat.Transport,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...adapter.SwitchOption,
) (*Switch, error) {
	if transport == nil {
		return nil, errNoTransport
	}
	p, err := newPlan(cfg, reactors, logger)
	if err != nil {
		return nil, err
	}

	return newSwitch("of the caller", transport, nil, p, opts), nil
}

// newSwitch returns a switch on the transport tr. It owns own, which is tr or nil.
func newSwitch(stack string, tr compat.Transport, own compat.ListeningTransport, p *plan, opts []adapter.SwitchOption) *Switch {
	p.options = append(p.options, adapter.WithReactor("peer gauges", newPeerGauges(recordPeers)))
	mux := adapter.NewMultiplexSwitch(tr, append(p.options, opts...)...)
	s := &Switch{toSwitch: newToSwitch(mux), mux: mux, transport: tr, own: own, listen: p.listen}
	s.BaseService = *service.NewBaseService(nil, "P2P Switch ("+stack+")", s)
	s.SetLogger(p.logger)

	return s
}

// Listen binds the port at which peers dial the node, so that NetAddress is known before
// Start. Otherwise Start does this. The switch accepts no peer before Start: a connection
// waits until then. Further calls return nil. Listen does nothing when the caller owns the
// transport.
func (s *Switch) Listen() error {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.own == nil || s.listens {
		return nil
	}
	if err := s.own.Listen(s.listen); err != nil {
		return err
	}
	s.listens = true

	return nil
}

// NetAddress returns the address at which the switch listens, with the ID of the node and
// the actual port. The IP is unspecified if that of laddr is. Before Listen or Start, it
// returns the laddr, whose port may be 0.
func (s *Switch) NetAddress() gnotypes.NetAddress {
	s.listening.Lock()
	defer s.listening.Unlock()
	addr := s.listen
	if s.own == nil || s.listens {
		addr = s.transport.NetAddress()
	}

	return *NetAddress(&addr)
}

// MultiplexSwitch returns the underlying switch, whose Subscribe also reports rejected peers
// and failed dials, and which has BroadcastsDropped. The caller must not start or stop it.
func (s *Switch) MultiplexSwitch() *adapter.MultiplexSwitch { return s.mux }

// SetLogger implements gno's service.Service. It must be called before Start.
func (s *Switch) SetLogger(logger *slog.Logger) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s.BaseService.SetLogger(logger)
	s.mux.SetLogger(logger)
}
