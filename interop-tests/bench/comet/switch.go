package main

import (
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	"github.com/cometbft/cometbft/version"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// newNetwork returns a network of p2p.Switches.
func newNetwork(cfg *config.P2PConfig, channels []*conn.ChannelDescriptor) *harness.Network {
	cfg.AllowDuplicateIP = true
	cfg.MaxNumInboundPeers, cfg.MaxNumOutboundPeers = harness.MaxPeers, harness.MaxPeers

	return &harness.Network{
		NewHub: func() (*harness.Hub, error) {
			sw, err := newSwitch(cfg, channels, func(byte, []byte) {})
			if err != nil {
				return nil, err
			}

			return &harness.Hub{
				Addr:      sw.NetAddress().String(),
				Peers:     func() int { return sw.Peers().Size() },
				Broadcast: func(msg []byte) { sw.BroadcastAsync(envelope(harness.ChHigh, msg)) },
				Close:     sw.Stop,
			}, nil
		},
		NewLeaf: func(addr string, on harness.Handler) error {
			sw, err := newSwitch(cfg, channels, on)
			if err != nil {
				return err
			}
			na, err := p2p.NewNetAddressString(addr)
			if err != nil {
				return err
			}

			return sw.DialPeerWithAddress(na)
		},
	}
}

func newSwitch(cfg *config.P2PConfig, channels []*conn.ChannelDescriptor, on harness.Handler) (*p2p.Switch, error) {
	key := p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	info := p2p.DefaultNodeInfo{
		Moniker:         "bench",
		ProtocolVersion: p2p.NewProtocolVersion(version.P2PProtocol, version.BlockProtocol, 0),
		DefaultNodeID:   key.ID(), ListenAddr: at, Network: "bench", Version: "1.0.0",
	}
	for _, d := range channels {
		info.Channels = append(info.Channels, d.ID)
	}
	addr, err := p2p.NewNetAddressString(p2p.IDAddressString(key.ID(), at))
	if err != nil {
		return nil, err
	}
	t := p2p.NewMultiplexTransport(info, key, p2p.MConnConfig(cfg))
	if err := t.Listen(*addr); err != nil {
		return nil, err
	}
	sw := p2p.NewSwitch(cfg, t)
	sw.SetLogger(log.NewNopLogger())
	sw.SetNodeKey(&key)
	sw.AddReactor("bench", newReactor(channels, on))
	sw.SetNodeInfo(info)

	return sw, sw.Start()
}
