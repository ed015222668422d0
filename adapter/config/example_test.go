package config_test

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// node is a switch on the native transport, made of the section [p2p].
type node struct {
	*adapter.MultiplexSwitch
	transport *native.MultiplexTransport
}

func newNode(cfg *config.P2PConfig, key *types.NodeKey) (*node, error) {
	listen, err := cfg.ListenNetAddress(key.ID())
	if err != nil {
		return nil, err
	}
	shown, err := cfg.AdvertisedNetAddress(key.ID())
	if err != nil {
		return nil, err
	}
	options, err := cfg.SwitchOptions()
	if err != nil {
		return nil, err
	}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &shown, Network: "example", Version: "v1.0.0", Channels: []byte{0x30}, Moniker: "node",
	}
	transport := native.NewMultiplexTransport(info, *key, cfg.MConnConfig(), nil)
	if err := transport.Listen(listen); err != nil {
		return nil, err
	}
	mempool := &reactor{}
	mempool.BaseReactor = *compat.NewBaseReactor("mempool", mempool)
	options = append(options, adapter.WithReactor("MEMPOOL", mempool))

	return &node{adapter.NewMultiplexSwitch(transport, options...), transport}, nil
}

// reactor has a channel and does nothing.
type reactor struct{ compat.BaseReactor }

func (*reactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x30, Priority: 5}}
}

// Two nodes, of which one has the other as a persistent peer.
func Example() {
	first, err := newNode(fromTOML(""), types.GenerateNodeKey())
	if err != nil {
		fmt.Println(err)

		return
	}
	defer first.transport.Close()
	addr := first.transport.NetAddress()
	second, err := newNode(fromTOML(addr.String()), types.GenerateNodeKey())
	if err != nil {
		fmt.Println(err)

		return
	}
	defer second.transport.Close()

	connected, cancel := second.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
	defer cancel()
	for _, n := range []*node{first, second} {
		if err := n.Start(); err != nil {
			fmt.Println(err)

			return
		}
		defer n.Stop()
	}
	peer := (<-connected).(events.PeerConnectedEvent)
	fmt.Println(peer.PeerID == addr.ID)
	// Output: true
}

func fromTOML(peer string) *config.P2PConfig {
	cfg, _, err := config.Parse([]byte(`
[p2p]
laddr = "tcp://127.0.0.1:0"
pex = false
flush_throttle_timeout = "10ms"
persistent_peers = "` + peer + `"
`))
	if err != nil {
		fmt.Println(err)
	}

	return cfg
}
