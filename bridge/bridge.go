package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// pairTimeout bounds the search for a counterpart: the remote that waits
	// gives up after 3 s (docs/wire.md §3).
	pairTimeout = 2500 * time.Millisecond
	// moniker and network of the bridge itself, seen only by who asks it for
	// its own NodeInfo.
	ownMoniker = "tm2bridge"
	ownNetwork = "tm2bridge"
	ownVersion = "v0.1.0"
)

var (
	errNoCounterpart = errors.New("no counterpart could be reached")
	errNoTargets     = errors.New("no counterpart is configured")
	errFull          = errors.New("the bridge has no free pair")
)

// Bridge is a service that relays between native and libp2p nodes. It is started
// and stopped once; all methods may be called concurrently.
type Bridge struct {
	service.BaseService

	key     types.NodeKey
	config  Config
	logger  *slog.Logger
	private map[types.ID]bool

	legacy        *native.RelayTransport
	libp2p        *lp2p.Transport
	legacyTargets *targets // native nodes, for libp2p nodes that dial us
	libp2pTargets *targets // libp2p nodes, for native nodes that dial us

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{} // one for each pair that is up or being made

	toLibp2p, toLegacy meter

	mtx   sync.Mutex
	pairs map[*pair]struct{}
}

// New returns a bridge with the node key's identity. A nil logger discards.
func New(nodeKey types.NodeKey, config Config, logger *slog.Logger) (*Bridge, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}

	ctx, cancel := context.WithCancel(context.Background())
	b := &Bridge{
		key:           nodeKey,
		config:        config,
		logger:        logger,
		private:       make(map[types.ID]bool),
		legacy:        native.NewRelayTransport(nodeKey, config.MConfig, logger),
		legacyTargets: newTargets(config.LegacyPeers),
		libp2pTargets: newTargets(config.Libp2pPeers),
		ctx:           ctx,
		cancel:        cancel,
		slots:         make(chan struct{}, config.MaxPairs),
		pairs:         make(map[*pair]struct{}),
	}
	for _, id := range config.PrivatePeers {
		b.private[id] = true
	}
	b.BaseService = *service.NewBaseService(logger, "Bridge", b)

	var err error
	if b.libp2p, err = lp2p.NewTransport(b.ownNodeInfo(), nodeKey, logger); err != nil {
		cancel()

		return nil, fmt.Errorf("unable to make the libp2p side: %w", err)
	}

	return b, nil
}

func (b *Bridge) ownNodeInfo() types.NodeInfo {
	listen := b.config.Libp2pListen
	listen.ID = b.key.ID()

	return types.NodeInfo{NetAddress: &listen, Network: ownNetwork, Version: ownVersion, Moniker: ownMoniker}
}

// OnStart implements service.Service: it listens on both sides. When it fails,
// the bridge cannot be started again.
func (b *Bridge) OnStart() error {
	if err := b.listen(); err != nil {
		return errors.Join(err, b.close())
	}
	b.wg.Go(b.acceptLegacy)
	b.wg.Go(b.acceptLibp2p)

	return nil
}

func (b *Bridge) listen() error {
	if err := b.legacy.Listen(b.config.LegacyListen); err != nil {
		return fmt.Errorf("legacy side: %w", err)
	}
	if err := b.libp2p.Listen(b.config.Libp2pListen); err != nil {
		return fmt.Errorf("libp2p side: %w", err)
	}

	return nil
}

// OnStop implements service.Service: it ends all pairs and waits for them.
func (b *Bridge) OnStop() {
	if err := b.close(); err != nil {
		b.logger.Warn("bridge did not stop cleanly", "err", err)
	}
}

func (b *Bridge) close() error {
	b.cancel()
	for _, p := range b.livePairs() {
		p.end(nil, compat.Reject(compat.RejectClosing, "%v", errBridgeStopped))
	}
	b.wg.Wait()

	return errors.Join(b.legacy.Close(), b.libp2p.Close())
}

// LegacyAddress is where native nodes dial the bridge.
func (b *Bridge) LegacyAddress() types.NetAddress { return b.legacy.NetAddress() }

// Libp2pAddress is where libp2p nodes dial the bridge, as a TM2 address.
func (b *Bridge) Libp2pAddress() types.NetAddress { return b.libp2p.NetAddress() }

// Multiaddrs are the libp2p addresses of the bridge, with its peer ID.
func (b *Bridge) Multiaddrs() []multiaddr.Multiaddr { return b.libp2p.Multiaddrs() }

// enter takes a slot for a pair and registers the work with the bridge; false
// means that all slots are taken or that the bridge stops.
func (b *Bridge) enter() bool {
	select {
	case b.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (b *Bridge) leave() { <-b.slots }

// couple runs a pair whose connections are made, until it has ended.
func (b *Bridge) couple(p *pair) {
	b.mtx.Lock()
	b.pairs[p] = struct{}{}
	b.mtx.Unlock()
	// A bridge that stopped before the pair was in the list did not end it.
	if b.ctx.Err() != nil {
		p.end(nil, errBridgeStopped)
	}

	p.run()

	b.mtx.Lock()
	defer b.mtx.Unlock()
	delete(b.pairs, p)
}

func (b *Bridge) livePairs() []*pair {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	pairs := make([]*pair, 0, len(b.pairs))
	for p := range b.pairs {
		pairs = append(pairs, p)
	}

	return pairs
}

// findCounterpart tries the targets, best first, until one can be paired. It
// returns the target, which the caller releases when the pair has ended.
func (b *Bridge) findCounterpart(ts *targets, try func(*target) error) (*target, error) {
	var tried []*target
	var errs []error
	for b.ctx.Err() == nil {
		t := ts.pick(tried)
		if t == nil {
			break
		}
		err := try(t)
		if err == nil {
			return t, nil
		}
		ts.release(t, true)
		tried = append(tried, t)
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errNoTargets
	}

	return nil, fmt.Errorf("%w: %w", errNoCounterpart, errors.Join(errs...))
}
