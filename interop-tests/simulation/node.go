package simulation

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

const (
	networkName = "simulation"
	port        = 26656
)

// reactor has the channels of a TM2 node's reactors. It sends nothing, since the simulation
// measures the cost of the network itself.
type reactor struct{ *compat.BaseReactor }

func newReactor() *reactor {
	r := &reactor{}
	r.BaseReactor = compat.NewBaseReactor("silent", r)

	return r
}

var channels = []byte{0x20, 0x21, 0x22, 0x23, 0x30, 0x40}

// GetChannels implements compat.Reactor.
func (*reactor) GetChannels() []*compat.ChannelDescriptor {
	descs := make([]*compat.ChannelDescriptor, len(channels))
	for i, id := range channels {
		descs[i] = &compat.ChannelDescriptor{ID: id, Priority: 1}
	}

	return descs
}

// site is what a node keeps over restarts.
type site struct {
	key  types.NodeKey
	addr types.NetAddress
	host *simnet.Host
	book *addrbook.Book
}

// node is one TM2 node.
type node struct {
	site
	kind    Kind
	started time.Time
	ended   chan struct{} // closed when it has stopped

	transport compat.ListeningTransport
	t         *lp2p.Transport      // nil on a native node
	d         *discovery.Discovery // nil on a native node
	pex       *pex.Reactor         // nil without Config.PeerExchange
	sw        *adapter.MultiplexSwitch

	counting sync.WaitGroup
	cancel   func() // ends the subscription to events
	mtx      sync.Mutex
	tally    tally
}

// tally counts the events of a switch.
type tally struct {
	dialed   uint64            // sessions that this node has opened
	failures map[string]uint64 // failed dials, by reason
}

// start makes and starts a node. seed is the address that it knows, nil for the seed itself.
func start(c Config, at site, kind Kind, seed *types.NetAddress) (*node, error) {
	n := &node{site: at, kind: kind, started: time.Now(), ended: make(chan struct{})}
	n.tally.failures = make(map[string]uint64)
	info := types.NodeInfo{
		NetAddress: &n.addr, Network: networkName, Version: "v1.0.0", Moniker: "node", Channels: channels,
	}
	silent := newReactor()
	if c.PeerExchange {
		n.pex = pex.NewReactor(n.book)
	}
	if err := n.newTransport(c, info, silent); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if err := n.run(c, silent, seed); err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}

	return n, nil
}

func (n *node) run(c Config, silent compat.Reactor, seed *types.NetAddress) (err error) {
	if err := n.transport.Listen(n.addr); err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	seeds := []*types.NetAddress{seed}
	opts := []adapter.SwitchOption{
		adapter.WithReactor("silent", silent), adapter.WithSeeds(seeds),
		adapter.WithMaxInboundPeers(c.MaxInbound), adapter.WithMaxOutboundPeers(c.MaxOutbound),
	}
	if n.t != nil {
		n.d, err = discovery.New(n.t, discovery.WithBootstrapPeers(seeds), discovery.WithMaxOutboundPeers(c.MaxOutbound))
		if err != nil {
			return fmt.Errorf("discovery: %w", err)
		}
		opts = append(opts, adapter.WithReactor("dht", n.d))
	}
	if n.pex != nil {
		opts = append(opts, adapter.WithReactor("pex", n.pex))
	}
	if c.SeedUptime > 0 && seed == nil {
		opts = append(opts, adapter.WithSeedMode(c.SeedUptime))
	}
	n.sw = adapter.NewMultiplexSwitch(n.transport, opts...)
	happened, cancel := n.sw.Subscribe(nil)
	n.cancel = cancel
	n.counting.Go(func() { n.count(happened) })
	if err := n.sw.Start(); err != nil {
		n.cancel()
		n.counting.Wait()

		return fmt.Errorf("switch: %w", err)
	}

	return nil
}

func (n *node) count(happened <-chan events.Event) {
	for e := range happened {
		n.mtx.Lock()
		switch e := e.(type) {
		case events.PeerConnectedEvent:
			if e.Outbound {
				n.tally.dialed++
			}
		case events.DialFailedEvent:
			n.tally.failures[kindOf(e.Reason)]++
		}
		n.mtx.Unlock()
	}
}

// kindOf classifies the reason of a failed dial.
func kindOf(reason error) string {
	var reject *compat.RejectError
	switch {
	case errors.As(reason, &reject) && reject.Remote:
		return "refused: " + reject.Code.String()
	case errors.As(reason, &reject):
		return "not wanted: " + reject.Code.String()
	case errors.Is(reason, compat.ErrBusy):
		return "busy"
	default:
		return "unreachable"
	}
}

// descriptors returns those of the channels of the reactors that send over sessions.
func (n *node) descriptors(silent compat.Reactor) []*compat.ChannelDescriptor {
	list := silent.GetChannels()
	if n.pex != nil {
		list = append(list, n.pex.GetChannels()...)
	}

	return list
}

func (n *node) counted() tally {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return tally{dialed: n.tally.dialed, failures: maps.Clone(n.tally.failures)}
}

// stop stops the node. It sends goodbyes unless its host has vanished.
func (n *node) stop() error {
	defer close(n.ended)
	err := errors.Join(n.sw.Stop(), n.transport.Close())
	n.cancel()
	n.counting.Wait()

	return err
}

// vanish ends the node like a power failure, without any sign to its peers.
func (n *node) vanish() error {
	n.host.Vanish()

	return n.stop()
}

func (n *node) id() types.ID { return n.addr.ID }
