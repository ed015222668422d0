package main

import (
	"errors"
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// bridged is a bridge and the node behind it.
type bridged struct {
	*node // behind the bridge

	bridge *bridge.Bridge
	side   string // that is judged
}

func newBridged(stack string, c program.Config, out *program.Reporter, logger *slog.Logger) (*bridged, error) {
	behind := map[string]string{"bridge": "libp2p", "bridge-libp2p": "native"}[stack]
	nc := c
	nc.Listen, nc.AllowDuplicateIP = "127.0.0.1:0", true
	n, err := newNode(behind, nc, out, logger.With("node", "behind"))
	if err != nil {
		return nil, err
	}
	key := types.GenerateNodeKey()
	listen, err := listenAddress(key.ID(), c)
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	target := n.transport.NetAddress()
	config := bridge.Config{NativeListen: *listen, Libp2pListen: *listen, AllowDuplicateIP: c.AllowDuplicateIP, OnlyConfigured: true}
	if stack == "bridge" {
		config.Libp2pPeers = []*types.NetAddress{&target}
	} else {
		config.NativePeers = []*types.NetAddress{&target}
	}
	b, err := bridge.New(*key, config, logger.With("node", "bridge"))
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}

	return &bridged{node: n, bridge: b, side: stack}, nil
}

// Start implements program.Node. The node behind the bridge is started first.
func (b *bridged) Start() error {
	if err := b.sw.Start(); err != nil {
		return err
	}
	if err := b.bridge.Start(); err != nil {
		return err
	}
	addr := b.bridge.NativeAddress()
	if b.side == "bridge-libp2p" {
		addr = b.bridge.Libp2pAddress()
	}
	b.out.Report(protocol.Event{Event: protocol.EventListening, Addr: addr.String(), NodeInfo: &protocol.NodeInfo{}})

	return nil
}

// Stop implements program.Node.
func (b *bridged) Stop() error {
	var err error
	if b.bridge.IsRunning() {
		err = b.bridge.Stop()
	}

	return errors.Join(err, b.node.Stop())
}

// Dial implements program.Node.
func (*bridged) Dial(string) error { return errNoPeers }
