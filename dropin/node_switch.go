package dropin

import (
	"errors"
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

// Switch is a switch of ours as gno's p2p.Switch and service.Service. All methods
// may be called concurrently.
//
// Errors of Start, Stop and Reset match the sentinels of gno's package service. A
// switch is started once; Reset returns an error.
type Switch struct {
	toSwitch
	service.BaseService

	mux       *adapter.MultiplexSwitch
	transport compat.Transport
	own       compat.ListeningTransport // the same; nil if it is the caller's
	listen    types.NetAddress          // of own

	listening sync.Mutex
	listens   bool

	starting sync.Mutex // held by Start, and by Close while none runs
	closed   bool       // by Close, without a Start
}

// NewNativeSwitch returns a switch for the reactors that speaks TM2's own protocol:
// its peers may be nodes of gno. It listens when it is started, at the laddr of the
// config, or before by Listen. Stop closes the listener; one that is never started
// holds no port, and what else it holds is released by Close.
//
// The config is used as docs/dropin.md lists it, key by key. Entries of its lists
// that cannot be used are logged and left out, as in gno; an error of New names the
// key at fault. nodeInfo tells the external_address if the config has one, else its
// own NetAddress, else the laddr; port 0 is replaced by that of the listener.
//
// The reactors are started, and hear of peers, in the order of their names, and
// are stopped in the reverse order; gno has no order. A reactor that is nil, or
// has an invalid channel or one that is taken, makes Start fail.
//
// Options count over the config. A nil logger discards.
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
	if len(opts) == 0 { // else they may add reactors, of whose channels nobody tells here
		p.warnOfDiscovery()
	}
	tr := native.NewMultiplexTransport(p.info, p.key, p.cfg.MConnConfig(), p.logger.With("transport", "native"))

	return newSwitch("native", tr, p, opts), nil
}

// NewLibp2pSwitch is NewNativeSwitch for libp2p: its peers are nodes with this
// switch, or a bridge that nodes of gno stand behind. They are dialed under the
// same addresses, ID@host:port. What gno has no key for, as QUIC, NATs, metrics and
// a DHT, is up to the options.
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
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	fromConfig := libp2pOptions(p.cfg)
	if len(o.sw) == 0 { // as above
		if !o.withDHT {
			p.warnOfDiscovery()
		}
		fromConfig = append(fromConfig, lp2p.WithChannels(channels(reactors)...))
	}
	tr, err := lp2p.NewTransport(p.info, p.key, p.logger.With("transport", "libp2p"), append(fromConfig, o.libp2p...)...)
	if err != nil {
		return nil, wrapNew("libp2p", err)
	}
	if o.withDHT && p.cfg.PeerExchange {
		found, err := newDHT(tr, p.cfg, o.dht)
		if err != nil {
			return nil, wrapNew("libp2p", errors.Join(err, tr.Close()))
		}
		p.options = append(p.options, adapter.WithReactor("DHT", found))
	}

	return newSwitch("libp2p", tr, p, o.sw), nil
}

// NewSwitch is NewNativeSwitch on a transport of the caller's, of whatever stack and
// with whatever options. The caller lets it listen before Start, and closes it after
// Stop: the switch does neither. Of the config count the keys that docs/dropin.md
// lists for the switch.
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

	return assemble("of the caller", transport, p, opts), nil
}

// newSwitch returns a switch that owns the transport.
func newSwitch(stack string, tr compat.ListeningTransport, p *plan, opts []adapter.SwitchOption) *Switch {
	s := assemble(stack, tr, p, opts)
	s.own, s.listen = tr, p.listen

	return s
}

func assemble(stack string, tr compat.Transport, p *plan, opts []adapter.SwitchOption) *Switch {
	mux := adapter.NewMultiplexSwitch(tr, append(p.options, opts...)...)
	s := &Switch{toSwitch: newToSwitch(mux), mux: mux, transport: tr}
	s.BaseService = *service.NewBaseService(nil, "P2P Switch ("+stack+")", s)
	s.SetLogger(p.logger)

	return s
}

// Listen takes the port at which peers dial the node, so that NetAddress can be told
// to others before Start; without it Start does. Peers are let in only by Start: to
// one that dials before, the node seems to be there and silent. Further calls return
// nil. A switch on a transport of the caller's has nothing to do.
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

// NetAddress is the address at which the switch listens, with the ID of the node and
// the actual port. Its IP is unspecified if that of laddr is. Before Listen and Start
// it is the laddr, whose port may be 0.
func (s *Switch) NetAddress() gnotypes.NetAddress {
	addr := s.transport.NetAddress()
	if s.own != nil && !s.isListening() {
		addr = s.listen
	}

	return *NetAddress(&addr)
}

func (s *Switch) isListening() bool {
	s.listening.Lock()
	defer s.listening.Unlock()

	return s.listens
}

// MultiplexSwitch is the switch behind this one: its Subscribe also tells of peers
// that were rejected and of dials that have failed, and its BroadcastsDropped
// counts. It is started and stopped by this one only.
func (s *Switch) MultiplexSwitch() *adapter.MultiplexSwitch { return s.mux }

// SetLogger implements gno's service.Service. It is called before Start.
func (s *Switch) SetLogger(logger *slog.Logger) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s.BaseService.SetLogger(logger)
	s.mux.SetLogger(logger)
}
