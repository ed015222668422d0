package native_test

import (
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

const greetings byte = 0x70

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
		peer.Send(greetings, []byte("hello"))
	}
}

func (g *greeter) Receive(_ byte, _ compat.PeerConn, msg []byte) { g.heard <- string(msg) }

// node is written against package compat alone, but for the line that makes the
// transport.
type node struct {
	transport compat.ListeningTransport
	sw        *adapter.MultiplexSwitch
}

func newNode(g *greeter, peers ...*types.NetAddress) (*node, error) {
	key, loopback := types.GenerateNodeKey(), net.IPv4(127, 0, 0, 1)
	info := types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback},
		Network:    "example", Version: "v1.0.0", Channels: []byte{greetings}, Moniker: "example",
	}
	transport := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	sw := adapter.NewMultiplexSwitch(transport,
		adapter.WithReactor("greeter", g), adapter.WithPersistentPeers(peers))
	n := &node{transport: transport, sw: sw}
	if err := transport.Listen(types.NetAddress{IP: loopback}); err != nil { // a free port
		return n, err
	}

	return n, sw.Start()
}

func (n *node) stop() {
	if err := n.sw.Stop(); err != nil {
		fmt.Println(err)
	}
	if err := n.transport.Close(); err != nil {
		fmt.Println(err)
	}
}

// Two nodes on the native stack. The example of adapter/lp2p differs in one line.
func Example() {
	g := newGreeter()
	first, err := newNode(g)
	if err != nil {
		fmt.Println(err)

		return
	}
	defer first.stop()
	addr := first.transport.NetAddress()
	second, err := newNode(newGreeter(), &addr)
	if err != nil {
		fmt.Println(err)

		return
	}
	defer second.stop()

	fmt.Println(<-g.heard)
	// Output: hello
}
