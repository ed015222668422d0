package adapter_test

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

const channel = 0x50

// greeter greets whoever connects, and prints what it is told.
type greeter struct {
	*compat.BaseReactor
	greeting string
}

func newGreeter(greeting string) *greeter {
	g := &greeter{greeting: greeting}
	g.BaseReactor = compat.NewBaseReactor("greeter", g)

	return g
}

func (g *greeter) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}

func (g *greeter) AddPeer(peer compat.PeerConn) { peer.Send(channel, []byte(g.greeting)) }

func (g *greeter) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	fmt.Printf("%s\n", msg)
	g.Switch.StopPeerForError(peer, nil)
}

// Two switches on an in-memory transport; one dials the other, is greeted and
// hangs up.
func Example() {
	network := memory.NewNetwork()
	client, server := network.NewTransport(channel), network.NewTransport(channel)
	defer client.Close()
	defer server.Close()

	a := adapter.NewMultiplexSwitch(client, adapter.WithReactor("quiet", newGreeter("")))
	b := adapter.NewMultiplexSwitch(server, adapter.WithReactor("greeter", newGreeter("hello")))
	for _, sw := range []*adapter.MultiplexSwitch{a, b} {
		if err := sw.Start(); err != nil {
			fmt.Println(err)

			return
		}
		defer sw.Stop()
	}
	gone, cancel := a.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
	defer cancel()

	addr := server.NetAddress()
	a.DialPeers(&addr)
	<-gone
	// Output: hello
}
