package dropin_test

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
)

// Run the switch of this project on gno's own transport.
func ExampleFromTransport() {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1), Port: 26656},
		Network:    "example",
		Channels:   []byte{0x20},
		Moniker:    "example",
	}
	transport := p2p.NewMultiplexTransport(info, *key, conn.DefaultMConnConfig(), slog.New(slog.DiscardHandler))
	if err := transport.Listen(gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		fmt.Println(err)

		return
	}
	defer transport.Close()

	sw := adapter.NewMultiplexSwitch(dropin.FromTransport(transport))
	if err := sw.Start(); err != nil {
		fmt.Println(err)

		return
	}
	fmt.Println(sw.IsRunning(), len(sw.Peers().List()))
	fmt.Println(sw.Stop())
	// Output:
	// true 0
	// <nil>
}

// greeter is a gno reactor that greets the peers that the node has dialed.
type greeter struct {
	p2p.BaseReactor
	heard chan string
}

const channelGreetings byte = 0x70

func newGreeter() *greeter {
	g := &greeter{heard: make(chan string, 1)}
	g.BaseReactor = *p2p.NewBaseReactor("greeter", g)

	return g
}

func (*greeter) GetChannels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{{ID: channelGreetings, Priority: 1}}
}

func (*greeter) AddPeer(peer p2p.PeerConn) {
	if peer.IsOutbound() {
		peer.Send(channelGreetings, []byte("hello"))
	}
}

func (g *greeter) Receive(_ byte, _ p2p.PeerConn, msg []byte) { g.heard <- string(msg) }

// newNode makes a node's switch with its own reactors.
func newNode(g *greeter, persistentPeers string) (*dropin.Switch, error) {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		Network:  "example",
		Version:  "v1.0.0",
		Channels: []byte{channelGreetings},
		Moniker:  "example",
	}
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.ListenAddress = "tcp://127.0.0.1:0"
	cfg.PersistentPeers = persistentPeers
	cfg.PeerExchange = false
	reactors := map[string]p2p.Reactor{"GREETER": g}

	// For TM2's own protocol, change this to NewNativeSwitch.
	return dropin.NewLibp2pSwitch(info, *key, cfg, reactors, nil)
}

// Connect two nodes with gno reactors over libp2p.
func ExampleNewLibp2pSwitch() {
	g := newGreeter()
	first, err := newNode(g, "")
	if err != nil {
		fmt.Println(err)

		return
	}
	defer first.Close()
	if err := first.Listen(); err != nil {
		fmt.Println(err)

		return
	}
	addr := first.NetAddress()
	second, err := newNode(newGreeter(), addr.String())
	if err != nil {
		fmt.Println(err)

		return
	}
	defer second.Close()

	for _, sw := range []*dropin.Switch{first, second} {
		if err := sw.Start(); err != nil {
			fmt.Println(err)

			return
		}
	}
	fmt.Println(<-g.heard)
	// Output: hello
}

// Run gno's own switch on the libp2p transport of this project.
func ExampleTransport() {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "example",
		Version:    "v1.0.0",
		Channels:   []byte{channelGreetings},
		Moniker:    "example",
	}
	transport, err := lp2p.NewTransport(dropin.FromNodeInfo(info), dropin.FromNodeKey(*key), nil)
	if err != nil {
		fmt.Println(err)

		return
	}
	defer transport.Close()
	if err := transport.Listen(*dropin.FromNetAddress(info.NetAddress)); err != nil {
		fmt.Println(err)

		return
	}

	sw := p2p.NewMultiplexSwitch(dropin.Transport(transport), p2p.WithReactor("GREETER", newGreeter()))
	if err := sw.Start(); err != nil {
		fmt.Println(err)

		return
	}
	fmt.Println(sw.IsRunning(), len(sw.Peers().List()))
	fmt.Println(sw.Stop())
	// Output:
	// true 0
	// <nil>
}

// newFinder makes a node that finds peers in a DHT, starting at the seeds.
func newFinder(g *greeter, seeds string) (*dropin.Switch, error) {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{Network: "example", Version: "v1.0.0", Channels: []byte{channelGreetings}, Moniker: "example"}
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.ListenAddress = "tcp://127.0.0.1:0"
	cfg.AllowDuplicateIP = true // all are on one machine
	cfg.PeerExchange = true
	cfg.Seeds = seeds

	return dropin.NewLibp2pSwitch(info, *key, cfg, map[string]p2p.Reactor{"GREETER": g}, nil, dropin.WithDHT())
}

// Connect nodes that know only a seed.
func ExampleWithDHT() {
	heard, seeds := make(chan string, 3), ""
	for range 3 {
		g := newGreeter()
		g.heard = heard
		sw, err := newFinder(g, seeds)
		if err != nil {
			fmt.Println(err)

			return
		}
		defer sw.Close()
		if err := sw.Start(); err != nil {
			fmt.Println(err)

			return
		}
		if seeds == "" {
			addr := sw.NetAddress()
			seeds = addr.String()
		}
	}
	fmt.Println(<-heard, <-heard, <-heard)
	// Output: hello hello hello
}

// Make a transport with its own options, and add discovery to gno's reactors.
func ExampleNewSwitch() {
	key := gnotypes.GenerateNodeKey()
	info := gnotypes.NodeInfo{
		NetAddress: &gnotypes.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "example", Version: "v1.0.0", Channels: []byte{channelGreetings}, Moniker: "example",
	}
	transport, err := lp2p.NewTransport(dropin.FromNodeInfo(info), dropin.FromNodeKey(*key), nil, lp2p.WithQUIC())
	if err != nil {
		fmt.Println(err)

		return
	}
	defer transport.Close()
	if err := transport.Listen(*dropin.FromNetAddress(info.NetAddress)); err != nil {
		fmt.Println(err)

		return
	}
	dht, err := discovery.New(transport)
	if err != nil {
		fmt.Println(err)

		return
	}

	sw, err := dropin.NewSwitch(transport, gnoconfig.DefaultP2PConfig(), map[string]p2p.Reactor{"GREETER": newGreeter()}, nil,
		adapter.WithReactor("DHT", dht))
	if err != nil {
		fmt.Println(err)

		return
	}
	if err := sw.Start(); err != nil {
		fmt.Println(err)

		return
	}
	fmt.Println(sw.IsRunning(), dht.IsRunning())
	fmt.Println(sw.Stop())
	// Output:
	// true true
	// <nil>
}
