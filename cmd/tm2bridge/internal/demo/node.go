package demo

import (
	"errors"
	"log/slog"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// network is the chain ID of the demo's nodes.
const network = "tm2-demo"

// node is one node of the demo: a stack, a switch and the gossip reactor.
type node struct {
	name      string
	gone      bool // taken away
	key       *types.NodeKey
	transport compat.ListeningTransport
	reactor   *gossip
	logger    *slog.Logger
	sw        *adapter.MultiplexSwitch // nil until it has started
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

// newNode returns a node that listens, for the native protocol or for libp2p.
func newNode(name string, isNative bool, reactor *gossip, logger *slog.Logger) (*node, error) {
	n := &node{name: name, key: types.GenerateNodeKey(), reactor: reactor, logger: logger}
	info := nodeInfo(n.key, name)
	if isNative {
		n.transport = native.NewMultiplexTransport(info, *n.key, unlimited(), logger)
	} else {
		t, err := lp2p.NewTransport(info, *n.key, logger)
		if err != nil {
			return nil, err
		}
		n.transport = t
	}
	if err := n.transport.Listen(loopback(n.key.ID())); err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}

	return n, nil
}

// start starts the switch. It dials the given addresses and admits up to maxPeers peers in
// each direction.
func (n *node) start(dial []*types.NetAddress, maxPeers int) error {
	sw := adapter.NewMultiplexSwitch(n.transport,
		adapter.WithReactor("GOSSIP", n.reactor),
		adapter.WithPersistentPeers(dial),
		adapter.WithMaxInboundPeers(uint64(maxPeers)),
		adapter.WithMaxOutboundPeers(uint64(maxPeers)),
		adapter.WithAllowDuplicateIP(true), // all nodes run on one machine
	)
	sw.SetLogger(n.logger)
	if err := sw.Start(); err != nil {
		return err
	}
	n.sw = sw

	return nil
}

// stop stops the node and waits for its goroutines.
func (n *node) stop() error {
	var err error
	if n.gone {
		return nil
	}
	if n.sw != nil {
		err = n.sw.Stop()
	}

	return errors.Join(err, n.transport.Close())
}

// unlimited returns TM2's default configuration without the rate limits, which are far
// below the rate of loopback.
func unlimited() mconn.MConnConfig {
	cfg := mconn.DefaultMConnConfig()
	cfg.SendRate, cfg.RecvRate = 0, 0

	return cfg
}
