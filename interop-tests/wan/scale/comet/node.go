package main

import (
	cryptoed25519 "crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"
	"github.com/cometbft/cometbft/version"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

// node is a switch of CometBFT.
type node struct {
	sw        *p2p.Switch
	transport *p2p.MultiplexTransport
	dial      *p2p.NetAddress // nil for the hub
	dialing   sync.WaitGroup
}

// newNode makes a node at CometBFT's default configuration, and listens.
func newNode(c process.Config, o *process.Observer) (process.Node, error) {
	if len(c.Key) != cryptoed25519.PrivateKeySize {
		return nil, errors.New("node key is too short")
	}
	key := p2p.NodeKey{PrivKey: ed25519.PrivKey(c.Key)}
	listen, err := addressOf(c.Listen, key.ID())
	if err != nil {
		return nil, err
	}
	cfg := config.DefaultP2PConfig()
	if c.MaxInbound > 0 {
		cfg.MaxNumInboundPeers = int(c.MaxInbound)
	}
	info := p2p.DefaultNodeInfo{
		Moniker:         "probe",
		ProtocolVersion: p2p.NewProtocolVersion(version.P2PProtocol, version.BlockProtocol, 0),
		DefaultNodeID:   key.ID(), ListenAddr: listen.DialString(), Network: "wan", Version: "1.0.0",
	}
	for _, d := range channels() {
		info.Channels = append(info.Channels, d.ID)
	}
	n := &node{transport: p2p.NewMultiplexTransport(info, key, p2p.MConnConfig(cfg))}
	if err := n.transport.Listen(*listen); err != nil {
		return nil, err
	}
	n.sw = p2p.NewSwitch(cfg, n.transport)
	n.sw.SetLogger(log.NewNopLogger())
	n.sw.SetNodeKey(&key)
	n.sw.AddReactor("PROBE", newReactor(o))
	n.sw.SetNodeInfo(info)
	if c.Dial != "" {
		err = n.setDial(c)
	}

	return n, err
}

// setDial makes the hub a persistent peer, so that a failed dial is repeated.
func (n *node) setDial(c process.Config) (err error) {
	n.dial, err = addressOf(c.Dial, p2p.PubKeyToID(ed25519.PubKey(c.HubKey)))
	if err != nil {
		return err
	}

	return n.sw.AddPersistentPeers([]string{n.dial.String()})
}

// addressOf replaces the ID in a TM2 address by that of CometBFT, which has other IDs.
func addressOf(address string, id p2p.ID) (*p2p.NetAddress, error) {
	_, at, found := strings.Cut(address, "@")
	if !found {
		return nil, fmt.Errorf("address %q has no ID", address)
	}

	return p2p.NewNetAddressString(p2p.IDAddressString(id, at))
}

// Start starts the switch and dials the hub, once here, and in the switch if that fails.
// DialPeersAsync would wait up to 3 s before.
func (n *node) Start() error {
	if err := n.sw.Start(); err != nil {
		return err
	}
	if n.dial != nil {
		n.dialing.Go(func() { _ = n.sw.DialPeerWithAddress(n.dial) }) // the switch repeats what has failed
	}

	return nil
}

// Close stops the switch.
func (n *node) Close() error {
	var err error
	if n.sw.IsRunning() {
		err = n.sw.Stop()
	}
	err = errors.Join(err, n.transport.Close())
	n.dialing.Wait()

	return err
}

// Broadcast sends a message to all peers. CometBFT sends protobuf messages only, so it is
// wrapped in one.
func (n *node) Broadcast(channel byte, msg []byte) {
	n.sw.BroadcastAsync(p2p.Envelope{ChannelID: channel, Message: &protomem.Txs{Txs: [][]byte{msg}}})
}
