package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

const (
	// minUptime is how long a pair must last for its target to count as healthy: a target
	// that ends its pairs at once has the fewest, and would otherwise get all nodes.
	minUptime = 10 * time.Second
	// Moniker and network, and version, of the bridge's own NodeInfo.
	ownName    = "tm2bridge"
	ownVersion = "v0.1.0"
)

// Bridge is a service that relays between native and libp2p nodes. It is started
// and stopped once; all methods may be called concurrently.
type Bridge struct {
	service.BaseService

	key    types.NodeKey
	own    []types.ID // of its identities
	config Config
	logger *slog.Logger

	refused       *summary.Log // nodes that get no pair
	gate          *gatekeeper
	native        []*native.RelayTransport // one for each identity, that of the key first
	book          *addrbook.Book           // of libp2p nodes
	nativeTargets *targets                 // for libp2p nodes that dial the bridge
	libp2pTargets *targets                 // for native nodes that dial the bridge

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  *slots

	toLibp2p, toNative meter
	moves              moveTimes // changed by tests before Start
	journal            *journal

	pairTimeout, patience time.Duration // changed by tests before Start

	changing  sync.Mutex // of what an operator changes while the bridge runs
	blocklist atomic.Pointer[blocklist]

	missed *events.Events // targets that could not be reached

	// Set by tests:
	libp2pOptions []lp2p.Option
	dhtOptions    []discovery.Option
	clock         func() time.Time // nil: the system's

	libp2p atomic.Pointer[lp2p.Transport]      // nil before Start
	dht    atomic.Pointer[discovery.Discovery] // nil before Start, or without one

	tunnels atomic.Pointer[tunnel.Server] // nil before Start, or without any
}

// New returns a bridge with the node key's identity. A nil logger discards.
func New(nodeKey types.NodeKey, config Config, logger *slog.Logger) (*Bridge, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	own, err := ownKeys(nodeKey, config.Identities)
	if err != nil {
		return nil, err
	}
	for _, addr := range slices.Concat(config.NativePeers, config.Libp2pPeers) {
		if slices.ContainsFunc(own, func(key types.NodeKey) bool { return key.ID() == addr.ID }) {
			return nil, fmt.Errorf("%w: peer %s is the bridge itself", ErrInvalidConfig, addr)
		}
	}
	logger = cmp.Or(logger, slog.New(slog.DiscardHandler))
	config.warnOfBlocked(logger)
	book, err := config.addrBook(nodeKey.ID(), logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	refused := summary.New(logger)
	gate := newGatekeeper(config, logger, refused)
	inUse := &inUse{list: make(map[*target]dialer)}
	b := &Bridge{
		key:           nodeKey,
		config:        config,
		logger:        logger,
		refused:       refused,
		gate:          gate,
		book:          book,
		nativeTargets: newTargets(config.NativePeers, nil, inUse),
		libp2pTargets: newTargets(config.Libp2pPeers, book, inUse),
		ctx:           ctx,
		cancel:        cancel,
		slots:         newSlots(config.MaxPairs, config.MaxPairsPerIP, config.UnconditionalPeers),
		missed:        events.New(),
		moves:         defaultMoveTimes(),
		journal:       newJournal(),
		pairTimeout:   pairTimeout,
		patience:      patience,
	}
	for _, key := range own {
		b.own = append(b.own, key.ID())
		b.native = append(b.native, native.NewRelayTransport(key, config.MConfig, logger,
			native.WithProxyProtocol(config.ProxyNetworks...), native.WithSockets(config.Sockets), native.WithConnAdmission(gate)))
	}
	now := config.blocklist()
	b.blocklist.Store(&now)
	gate.blocks, gate.configured = b.blocks, b.configuredPeers
	b.journal.exempt = gate.IsExemptPeer
	b.slots.exempt, b.slots.conduct, b.slots.canJoin = b.exemptPeers, gate.keeper.Book, (*pair).canJoin
	b.nativeTargets.debts, b.libp2pTargets.debts = make(map[types.ID]debt), make(map[types.ID]debt)
	b.libp2pTargets.sessions, b.libp2pTargets.making = true, &b.pairTimeout
	b.nativeTargets.blocked, b.libp2pTargets.blocked = b.blocksTarget, b.blocksTarget
	if config.OnlyConfigured {
		b.libp2pTargets.book = nil
	}
	b.shareSlots()
	b.BaseService = *service.NewBaseService(logger, "Bridge", b)

	return b, nil
}

// OnStart implements service.Service. It listens on both sides. When that fails, the
// bridge cannot be started again.
func (b *Bridge) OnStart() error {
	if err := b.listen(); err != nil {
		return errors.Join(err, b.close())
	}
	b.journal.start()
	for _, side := range b.native {
		b.wg.Go(func() { b.acceptNative(side) })
	}
	b.wg.Go(func() { b.acceptLibp2p(b.libp2p.Load()) })
	b.wg.Go(b.askLoop)
	b.wg.Go(func() { b.book.KeepSaved(b.ctx, addrbook.DefaultSaveInterval, func() {}, b.saveFailed) })
	b.wg.Go((&mover{Bridge: b, vain: make(map[types.ID]vain)}).run)

	return nil
}

func (b *Bridge) listen() error {
	native, err := b.config.NativeAddresses(b.key)
	if err != nil {
		return err
	}
	for i, side := range b.native {
		if err := side.Listen(native[i]); err != nil {
			return fmt.Errorf("native side: %w", err)
		}
	}
	opts := []lp2p.Option{
		lp2p.WithLimits(b.config.libp2pLimits()), lp2p.WithAddrBook(b.book),
		lp2p.WithSockets(b.config.Sockets), lp2p.WithConnAdmission(b.gate), lp2p.WithClock(b.clock),
		lp2p.WithProxyProtocol(b.config.ProxyNetworks...),
	}
	if b.config.Libp2pQUIC {
		opts = append(opts, lp2p.WithQUIC())
	}
	if b.config.Registerer != nil {
		opts = append(opts, lp2p.WithPrometheus(b.config.Registerer))
	}
	listen := b.config.Libp2pListen
	listen.ID = b.key.ID()
	network := cmp.Or(b.config.Libp2pNetwork, ownName)
	info := types.NodeInfo{NetAddress: &listen, Network: network, Version: ownVersion, Moniker: ownName}
	side, err := lp2p.NewTransport(info, b.key, b.logger, append(opts, b.libp2pOptions...)...)
	if err != nil {
		return fmt.Errorf("libp2p side: %w", err)
	}
	b.libp2p.Store(side)
	if err := b.blocked().apply(side); err != nil {
		return fmt.Errorf("libp2p side: %w", err)
	}
	if err := b.startTunnels(side); err != nil {
		return err
	}
	if err := side.Listen(b.config.Libp2pListen); err != nil {
		return fmt.Errorf("libp2p side: %w", err)
	}
	if err := b.startDHT(side); err != nil {
		return fmt.Errorf("DHT of the libp2p side: %w", err)
	}

	return nil
}

// startTunnels serves the configured tunnels, if there are any.
func (b *Bridge) startTunnels(side *lp2p.Transport) error {
	if len(b.config.Tunnels) == 0 {
		return nil
	}
	server, err := tunnel.Serve(side, tunnel.Config{
		Targets: b.config.Tunnels, Where: b.libp2pTargets.at, Reach: b.nativeTargets.open, Sockets: b.config.Sockets, Logger: b.logger,
		Admission: b.gate, Proxies: b.config.ProxyNetworks, Blocks: b.blocks,
	})
	if err != nil {
		return err
	}
	b.tunnels.Store(server)

	return nil
}

// TunnelAddresses returns where native nodes dial each node that has a tunnel, after Start: the
// node's own ID at the bridge.
func (b *Bridge) TunnelAddresses() []types.NetAddress {
	if server := b.tunnels.Load(); server != nil {
		return server.Addresses()
	}

	return nil
}

// OnStop implements service.Service. It ends all pairs and waits for them.
func (b *Bridge) OnStop() {
	if err := b.close(); err != nil {
		b.logger.Warn("bridge did not stop cleanly", "err", err)
	}
}

func (b *Bridge) close() error {
	b.cancel()
	b.wg.Wait()
	var errs []error
	if d := b.dht.Load(); d != nil {
		errs = append(errs, d.Stop())
	}
	if server := b.tunnels.Load(); server != nil {
		errs = append(errs, server.Close())
	}
	for _, side := range b.native {
		errs = append(errs, side.Close())
	}
	if side := b.libp2p.Load(); side != nil {
		errs = append(errs, side.Close())
	}
	b.refused.Close() // the transports have asked the gatekeeper until now
	if err := b.book.Flush(); err != nil {
		b.saveFailed(err)
	}

	return errors.Join(errs...)
}

// saveFailed logs that the address book was not saved. A full disk is no reason to stop.
func (b *Bridge) saveFailed(err error) { b.logger.Error("cannot save address book", "err", err) }

// NativeAddress returns where native nodes dial the bridge, after Start.
func (b *Bridge) NativeAddress() types.NetAddress { return b.native[0].NetAddress() }

// NativeAddresses returns where native nodes dial each identity of the bridge, after Start.
// The first is NativeAddress.
func (b *Bridge) NativeAddresses() []types.NetAddress {
	addrs := make([]types.NetAddress, len(b.native))
	for i, side := range b.native {
		addrs[i] = side.NetAddress()
	}

	return addrs
}

// Libp2pAddress returns where libp2p nodes dial the bridge, as a TM2 address, after Start.
func (b *Bridge) Libp2pAddress() types.NetAddress {
	if side := b.libp2p.Load(); side != nil {
		return side.NetAddress()
	}

	return types.NetAddress{ID: b.key.ID()}
}

// Multiaddrs returns the libp2p addresses of the bridge, with its peer ID, after Start.
func (b *Bridge) Multiaddrs() []multiaddr.Multiaddr {
	if side := b.libp2p.Load(); side != nil {
		return side.Multiaddrs()
	}

	return nil
}
