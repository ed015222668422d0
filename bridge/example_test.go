package bridge_test

import (
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

const greetings byte = 0x70

var loopback = net.IPv4(127, 0, 0, 1)

// greeter greets the peers that its node has dialed.
type greeter struct {
	compat.BaseReactor
	heard chan string
}

func newGreeter() *greeter {
	g := &greeter{heard: make(chan string, 1)}
	g.BaseReactor = *compat.NewBaseReactor("greeter", g)

	return g
}

func (*greeter) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: greetings, Priority: 1}}
}

func (*greeter) AddPeer(peer compat.PeerConn) {
	if peer.IsOutbound() {
		peer.Send(greetings, []byte("hello across"))
	}
}

func (g *greeter) Receive(_ byte, _ compat.PeerConn, msg []byte) { g.heard <- string(msg) }

// serve starts a switch on the transport and returns what stops both.
func serve(t compat.ListeningTransport, g *greeter, peers ...*types.NetAddress) (stop func(), err error) {
	if err := t.Listen(types.NetAddress{IP: loopback}); err != nil {
		return func() { t.Close() }, err
	}
	sw := adapter.NewMultiplexSwitch(t, adapter.WithReactor("greeter", g), adapter.WithPersistentPeers(peers))

	return func() { sw.Stop(); t.Close() }, sw.Start()
}

func nodeInfo(key *types.NodeKey) types.NodeInfo {
	return types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback},
		Network:    "example", Version: "v1.0.0", Channels: []byte{greetings}, Moniker: "example",
	}
}

// A native node dials a bridge, and so reaches a libp2p node.
func Example() {
	g, key := newGreeter(), types.GenerateNodeKey()
	far, err := lp2p.NewTransport(nodeInfo(key), *key, nil)
	if err != nil {
		fmt.Println(err)

		return
	}
	stop, err := serve(far, g)
	defer stop()
	if err != nil {
		fmt.Println(err)

		return
	}

	addr, listen := far.NetAddress(), types.NetAddress{IP: loopback}
	b, err := bridge.New(*types.GenerateNodeKey(), bridge.Config{
		NativeListen: listen, Libp2pListen: listen, Libp2pPeers: []*types.NetAddress{&addr},
	}, nil)
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		fmt.Println(err)

		return
	}
	defer b.Stop()

	key = types.GenerateNodeKey()
	near := native.NewMultiplexTransport(nodeInfo(key), *key, mconn.DefaultMConnConfig(), nil)
	entry := b.NativeAddress()
	stopNear, err := serve(near, newGreeter(), &entry)
	defer stopNear()
	if err != nil {
		fmt.Println(err)

		return
	}
	fmt.Println(<-g.heard)
	// Output: hello across
}
