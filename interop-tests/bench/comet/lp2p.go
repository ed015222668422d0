package main

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/lp2p"
	"github.com/cometbft/cometbft/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// libp2pNode is a started lp2p.Switch with its host.
type libp2pNode struct {
	*lp2p.Switch
	host *lp2p.Host
	addr config.LibP2PBootstrapPeer // for nodes that connect to it
}

// newLibp2pNode returns a node that connects to the peers at boot. Its
// configuration is that of lp2p's own benchmarks: no limits and many workers.
func newLibp2pNode(on harness.Handler, boot ...config.LibP2PBootstrapPeer) (*libp2pNode, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cfg := config.DefaultP2PConfig()
	cfg.ListenAddress, cfg.ExternalAddress = at, at
	cfg.LibP2PConfig.Enabled = true
	cfg.LibP2PConfig.BootstrapPeers = boot
	cfg.LibP2PConfig.Limits.Mode = config.LibP2PLimitsModeDisabled
	cfg.LibP2PConfig.Scaler.MinWorkers = 64
	cfg.LibP2PConfig.Scaler.MaxWorkers = 128
	cfg.LibP2PConfig.Scaler.ThresholdLatency = 500 * time.Millisecond

	host, err := lp2p.NewHost(cfg, ed25519.GenPrivKey(), log.NewNopLogger())
	if err != nil {
		return nil, err
	}
	sw, err := lp2p.NewSwitch(nil, host,
		[]lp2p.SwitchReactor{{Name: "bench", Reactor: newReactor(twoChannels(harness.QueueMessages), on)}},
		p2p.NopMetrics(), log.NewNopLogger())
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	if err := sw.Start(); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	addr := config.LibP2PBootstrapPeer{Host: at, ID: host.ID().String(), Persistent: true}

	return &libp2pNode{Switch: sw, host: host, addr: addr}, nil
}

func (n *libp2pNode) close() error { return errors.Join(n.Stop(), n.host.Close()) }

// onlyPeer waits for the peer of a node with one peer.
func (n *libp2pNode) onlyPeer() (p2p.Peer, error) {
	var peer p2p.Peer
	err := harness.Await("peer of the switch", func() bool {
		peers := n.Peers().Copy()
		if len(peers) != 1 {
			return false
		}
		peer = peers[0]

		return true
	})

	return peer, err
}

// hello sends the first message, on which the remote adds the sender as a peer.
func hello(to p2p.Peer) error {
	if !to.Send(envelope(harness.ChHigh, []byte{0})) {
		return errors.New("first message was not sent")
	}

	return nil
}

func openLibp2p(onB, onA harness.Handler) (*harness.Pipe, error) {
	b, err := newLibp2pNode(func(ch byte, msg []byte) {
		if len(msg) > 1 { // not the hello
			onB(ch, msg)
		}
	})
	if err != nil {
		return nil, err
	}
	a, err := newLibp2pNode(onA, b.addr)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	peerOfA, err := a.onlyPeer()
	if err != nil {
		return nil, err
	}
	if err := hello(peerOfA); err != nil {
		return nil, err
	}
	peerOfB, err := b.onlyPeer()
	if err != nil {
		return nil, err
	}

	return &harness.Pipe{
		Send:  func(ch byte, msg []byte) bool { return peerOfA.Send(envelope(ch, msg)) },
		Reply: func(ch byte, msg []byte) bool { return peerOfB.Send(envelope(ch, msg)) },
		Close: func() error { return errors.Join(a.close(), b.close()) },
	}, nil
}

func newLibp2pNetwork() *harness.Network {
	return &harness.Network{
		NewHub: func() (*harness.Hub, error) {
			n, err := newLibp2pNode(func(byte, []byte) {})
			if err != nil {
				return nil, err
			}
			addr, err := json.Marshal(n.addr)
			if err != nil {
				return nil, errors.Join(err, n.close())
			}

			return &harness.Hub{
				Addr:      string(addr),
				Peers:     func() int { return n.Peers().Size() },
				Broadcast: func(msg []byte) { n.BroadcastAsync(envelope(harness.ChHigh, msg)) },
				Close:     n.close,
			}, nil
		},
		NewLeaf: func(addr string, on harness.Handler) error {
			var boot config.LibP2PBootstrapPeer
			if err := json.Unmarshal([]byte(addr), &boot); err != nil {
				return err
			}
			n, err := newLibp2pNode(on, boot)
			if err != nil {
				return err
			}
			hub, err := n.onlyPeer()
			if err != nil {
				return err
			}

			return hello(hub)
		},
	}
}
