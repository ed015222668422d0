package pex_test

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newSwitch returns a switch that finds peers, with a book in memory.
func newSwitch(transport *memory.Transport) (*adapter.MultiplexSwitch, error) {
	book, err := addrbook.Open("", transport.NetAddress())
	if err != nil {
		return nil, err
	}
	sw := adapter.NewMultiplexSwitch(transport, adapter.WithReactor("discovery", pex.NewReactor(book)))

	return sw, sw.Start()
}

// Two nodes dial a third one, of which the second learns about the first.
func Example() {
	network := memory.NewNetwork()
	var switches []*adapter.MultiplexSwitch
	var addrs []types.NetAddress
	for range 3 {
		transport := network.NewTransport(pex.Channel)
		defer transport.Close()
		sw, err := newSwitch(transport)
		if err != nil {
			fmt.Println(err)

			return
		}
		defer sw.Stop()
		switches, addrs = append(switches, sw), append(addrs, transport.NetAddress())
	}
	first, hub, second := switches[0], switches[1], switches[2]

	connected, cancel := hub.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
	defer cancel()
	first.DialPeers(&addrs[1])
	<-connected

	connected, cancel = second.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
	defer cancel()
	second.DialPeers(&addrs[1])
	peers := make(map[types.ID]bool) // in either order: the hub may be faster than the event
	for !peers[addrs[0].ID] || !peers[addrs[1].ID] {
		peers[(<-connected).(events.PeerConnectedEvent).PeerID] = true
	}
	fmt.Println("connected to the hub, and to the first, of which the hub has told")
	// Output: connected to the hub, and to the first, of which the hub has told
}
