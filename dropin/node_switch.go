package dropin

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

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

// closeTimeout bounds how long Stop waits for the transport, whose Close waits for
// a Receive that runs: Stop may be called from it.
const closeTimeout = 10 * time.Second

var errCloseTimeout = fmt.Errorf("transport is not closed after %s", closeTimeout)

var (
	_ p2p.Switch         = (*Switch)(nil)
	_ gnoservice.Service = (*Switch)(nil)
	_ service.Service    = (*Switch)(nil)
)

// transport is what both stacks have beside compat.Transport.
type transport interface {
	compat.Transport
	Listen(addr types.NetAddress) error
	Close() error
}

// Switch is a switch of ours with a transport of its own, as gno's p2p.Switch and
// service.Service. All methods may be called concurrently.
//
// Errors of Start, Stop and Reset match the sentinels of gno's package service. A
// switch is started once; Reset returns an error.
type Switch struct {
	toSwitch
	service.BaseService

	mux       *adapter.MultiplexSwitch
	transport transport

	lifecycle sync.Mutex // held by Start and Close
	closed    bool       // by Close, without a Start
}

// NewNativeSwitch returns a switch for the reactors that speaks TM2's own protocol:
// its peers may be nodes of gno. It listens already at the laddr of the config, so
// that NetAddress can be told to others; a peer that dials waits for Start. Stop
// closes the listener, and Close that of a switch that is never started.
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
	p, err := newPlan(nodeInfo, nodeKey, cfg, reactors, logger)
	if err != nil {
		return nil, wrapNew("native", err)
	}
	tr := native.NewMultiplexTransport(p.info, p.key, p.cfg.MConnConfig(), p.logger.With("transport", "native"))

	return newSwitch("native", tr, p, opts)
}

// NewLibp2pSwitch is NewNativeSwitch for libp2p: its peers are nodes with this
// switch, or a bridge that nodes of gno stand behind. They are dialed under the
// same addresses, ID@host:port.
func NewLibp2pSwitch(
	nodeInfo gnotypes.NodeInfo,
	nodeKey gnotypes.NodeKey,
	cfg *gnoconfig.P2PConfig,
	reactors map[string]p2p.Reactor,
	logger *slog.Logger,
	opts ...Option,
) (*Switch, error) {
	p, err := newPlan(nodeInfo, nodeKey, cfg, reactors, logger)
	if err != nil {
		return nil, wrapNew("libp2p", err)
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	fromConfig := libp2pOptions(p.cfg)
	if len(o.sw) == 0 { // else they may add reactors, of whose channels nobody tells here
		fromConfig = append(fromConfig, lp2p.WithChannels(channels(reactors)...))
	}
	tr, err := lp2p.NewTransport(p.info, p.key, p.logger.With("transport", "libp2p"), append(fromConfig, o.libp2p...)...)
	if err != nil {
		return nil, wrapNew("libp2p", err)
	}

	return newSwitch("libp2p", tr, p, o.sw)
}

// newSwitch listens, and owns the transport in any case.
func newSwitch(stack string, tr transport, p *plan, opts []adapter.SwitchOption) (*Switch, error) {
	if err := tr.Listen(p.listen); err != nil {
		return nil, wrapNew(stack, errors.Join(err, tr.Close()))
	}
	mux := adapter.NewMultiplexSwitch(tr, append(p.options, opts...)...)
	s := &Switch{toSwitch: newToSwitch(mux), mux: mux, transport: tr}
	s.BaseService = *service.NewBaseService(nil, "P2P Switch ("+stack+")", s)
	s.SetLogger(p.logger)

	return s, nil
}

// NetAddress is the address at which the switch listens, with the ID of the node
// and the actual port. Its IP is unspecified if that of laddr is.
func (s *Switch) NetAddress() gnotypes.NetAddress {
	addr := s.transport.NetAddress()

	return *NetAddress(&addr)
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

// Start implements gno's service.Service: it starts the reactors, lets peers in and
// dials. When a reactor does not start, those before it are stopped again; the
// switch still listens and is to be closed.
func (s *Switch) Start() error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.closed {
		return gnoservice.ErrAlreadyStopped
	}

	return serviceError(s.BaseService.Start())
}

// OnStart implements gno's service.Service for Start.
func (s *Switch) OnStart() error { return s.mux.Start() }

// Stop implements gno's service.Service: it stops the peers and then the reactors,
// within 10 s and the time that the reactors take, and closes the transport, which
// takes 10 s at most. A call from a reactor's Receive takes all of that time, for it
// waits for itself. A switch that was never started is left as it is, with
// ErrNotStarted: see Close.
func (s *Switch) Stop() error { return serviceError(s.BaseService.Stop()) }

// Close ends the switch in whatever state it is: it is Stop for one that runs, and
// closes the listener of one that was never started or did not start, which then
// is not started any more. Further calls return nil.
func (s *Switch) Close() error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	switch err := s.BaseService.Stop(); {
	case errors.Is(err, service.ErrAlreadyStopped), s.closed:
		return nil
	case errors.Is(err, service.ErrNotStarted):
		s.closed = true

		return s.closeTransport()
	default:
		return serviceError(err)
	}
}

// OnStop implements gno's service.Service for Stop.
func (s *Switch) OnStop() {
	if err := s.mux.Stop(); err != nil {
		s.Logger.Error("cannot stop the switch", "err", err)
	}
	if err := s.closeTransport(); err != nil {
		s.Logger.Error("cannot close the transport", "err", err)
	}
}

// closeTransport waits for the transport to end. The goroutine lives on only if
// that takes too long.
func (s *Switch) closeTransport() error {
	closed := make(chan error, 1)
	go func() { closed <- s.transport.Close() }()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return errCloseTimeout
	}
}

// Reset implements gno's service.Service: a switch cannot be started again.
func (s *Switch) Reset() error { return serviceError(s.BaseService.Reset()) }
