package demo

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// network is the chain ID of the demo's nodes.
const network = "tm2-demo"

// node is one node of the demo: a stack, a switch and the gossip reactor.
type node struct {
	key       *types.NodeKey
	transport compat.ListeningTransport
	reactor   *gossip
	logger    *slog.Logger
	sw        *adapter.MultiplexSwitch // nil before start
}

// loopback returns a listen address at any free loopback port.
func loopback(id types.ID) types.NetAddress {
	return types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)}
}

func nodeInfo(key *types.NodeKey, moniker string) types.NodeInfo {
	addr := loopback(key.ID())
	info := types.NodeInfo{
		NetAddress: &addr,
		Network:    network,
		Version:    "v1.0.0-rc.0",
		Moniker:    moniker,
		Other:      types.NodeInfoOther{TxIndex: "off"},
	}
	for _, name := range []string{"abci", "bft", "blockchain", "p2p"} {
		info.VersionSet.Set(types.VersionInfo{Name: name, Version: "v1.0.0-rc.0"})
	}
	info.VersionSet.Set(types.VersionInfo{Name: "app", Version: "dev"})
	for _, d := range channels {
		info.Channels = append(info.Channels, d.ID)
	}

	return info
}

// newNative returns a node that listens for the native protocol.
func newNative(name string, reactor *gossip, logger *slog.Logger) (*node, error) {
	key := types.GenerateNodeKey()
	t := native.NewMultiplexTransport(nodeInfo(key, name), *key, unlimited(), logger)

	return listen(&node{key: key, transport: t, reactor: reactor, logger: logger}, name)
}

// newLibp2p returns a node that listens for libp2p.
func newLibp2p(name string, reactor *gossip, logger *slog.Logger) (*node, error) {
	key := types.GenerateNodeKey()
	t, err := lp2p.NewTransport(nodeInfo(key, name), *key, logger)
	if err != nil {
		return nil, fmt.Errorf("unable to make node %s: %w", name, err)
	}

	return listen(&node{key: key, transport: t, reactor: reactor, logger: logger}, name)
}

func listen(n *node, name string) (*node, error) {
	if err := n.transport.Listen(loopback(n.key.ID())); err != nil {
		return nil, errors.Join(fmt.Errorf("unable to start node %s: %w", name, err), n.transport.Close())
	}

	return n, nil
}

// start starts the switch. It dials the given addresses and admits up to maxPeers peers in
// each direction.
func (n *node) start(dial []*types.NetAddress, maxPeers int) error {
	n.sw = adapter.NewMultiplexSwitch(n.transport,
		adapter.WithReactor("GOSSIP", n.reactor),
		adapter.WithPersistentPeers(dial),
		adapter.WithMaxInboundPeers(uint64(maxPeers)),
		adapter.WithMaxOutboundPeers(uint64(maxPeers)),
		adapter.WithAllowDuplicateIP(true), // all nodes run on one machine
	)
	n.sw.SetLogger(n.logger)

	return n.sw.Start()
}

// stop stops the node and waits for its goroutines.
func (n *node) stop() error {
	var err error
	if n.sw != nil {
		err = ignoreNotRunning(n.sw.Stop())
	}

	return errors.Join(err, n.transport.Close())
}

func ignoreNotRunning(err error) error {
	if errors.Is(err, service.ErrNotStarted) || errors.Is(err, service.ErrAlreadyStopped) {
		return nil
	}

	return err
}

// unlimited returns TM2's default configuration without the rate limits, which are far
// below the rate of loopback.
func unlimited() mconn.MConnConfig {
	cfg := mconn.DefaultMConnConfig()
	cfg.SendRate, cfg.RecvRate = 0, 0

	return cfg
}
