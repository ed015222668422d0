package lp2p_test

import (
	"context"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// echo is the smallest switch: one channel, and a reactor that tells what came.
type echo struct {
	compat.BaseReactor
	got chan string
}

func newEcho() *echo {
	e := &echo{got: make(chan string, 1)}
	e.BaseReactor = *compat.NewBaseReactor("echo", e)

	return e
}

func (e *echo) Receive(_ byte, _ compat.PeerConn, msg []byte) { e.got <- string(msg) }

func (e *echo) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1}}
}

func (e *echo) Reactors() map[byte]compat.Reactor           { return map[byte]compat.Reactor{0x20: e} }
func (*echo) HandlePeerError(peer compat.PeerConn, _ error) { _ = peer.Stop() }
func (*echo) IsPersistentPeer(types.ID) bool                { return false }
func (*echo) IsPrivatePeer(types.ID) bool                   { return false }

func newTransport() (*lp2p.Transport, error) {
	key := types.GenerateNodeKey()
	loopback := net.IPv4(127, 0, 0, 1)
	t, err := lp2p.NewTransport(types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback},
		Network:    "example", Channels: []byte{0x20}, Moniker: "example",
	}, *key, nil)
	if err != nil {
		return nil, err
	}

	return t, t.Listen(types.NetAddress{IP: loopback}) // the system chooses the port
}

// Two nodes on one machine; a switch does for its transport what this does.
func Example() {
	ctx := context.Background()
	alice, err := newTransport()
	if err != nil {
		fmt.Println(err)

		return
	}
	defer alice.Close()
	bob, err := newTransport()
	if err != nil {
		fmt.Println(err)

		return
	}
	defer bob.Close()

	reactor := newEcho()
	go func() {
		peer, err := bob.Accept(ctx, reactor)
		if err == nil {
			err = peer.Start()
		}
		if err != nil {
			fmt.Println(err)
		}
	}()

	// A plain TM2 address is enough: id@ip:port.
	peer, err := alice.Dial(ctx, bob.NetAddress(), newEcho())
	if err != nil {
		fmt.Println(err)

		return
	}
	if err := peer.Start(); err != nil {
		fmt.Println(err)

		return
	}
	peer.Send(0x20, []byte("hello"))
	fmt.Println(<-reactor.got)
	peer.FlushStop()
	// Output: hello
}
