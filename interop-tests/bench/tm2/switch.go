package main

import (
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// reactor passes received messages to a handler.
type reactor struct {
	compat.BaseReactor
	channels []*compat.ChannelDescriptor
	on       harness.Handler
}

func newReactor(channels []*compat.ChannelDescriptor, on harness.Handler) *reactor {
	r := &reactor{channels: channels, on: on}
	r.BaseReactor = *compat.NewBaseReactor("bench", r)

	return r
}

func (r *reactor) GetChannels() []*compat.ChannelDescriptor       { return r.channels }
func (r *reactor) Receive(ch byte, _ compat.PeerConn, msg []byte) { r.on(ch, msg) }

// node is a started switch with its transport.
type node struct {
	*adapter.MultiplexSwitch
	transport transport
}

func newNode(newTransport transportMaker, channels []*compat.ChannelDescriptor, on harness.Handler) (*node, error) {
	t, err := listening(newTransport, channels)
	if err != nil {
		return nil, err
	}
	sw := adapter.NewMultiplexSwitch(t,
		adapter.WithReactor("bench", newReactor(channels, on)),
		adapter.WithMaxInboundPeers(harness.MaxPeers), adapter.WithMaxOutboundPeers(harness.MaxPeers),
		adapter.WithAllowDuplicateIP(true))
	if err := sw.Start(); err != nil {
		return nil, errors.Join(err, t.Close())
	}

	return &node{MultiplexSwitch: sw, transport: t}, nil
}

func (n *node) close() error { return errors.Join(n.Stop(), n.transport.Close()) }

// onlyPeer waits for the peer of a node with one peer.
func (n *node) onlyPeer() (compat.PeerConn, error) {
	var peer compat.PeerConn
	err := harness.Await("peer of the switch", func() bool {
		peers := n.Peers().List()
		if len(peers) != 1 {
			return false
		}
		peer = peers[0]

		return true
	})

	return peer, err
}

// openSwitches opens a pair of switches.
func openSwitches(newTransport transportMaker, channels []*compat.ChannelDescriptor) harness.Opener {
	return func(onB, onA harness.Handler) (*harness.Pipe, error) {
		a, err := newNode(newTransport, channels, onA)
		if err != nil {
			return nil, err
		}
		b, err := newNode(newTransport, channels, onB)
		if err != nil {
			return nil, errors.Join(err, a.close())
		}
		addr := b.transport.NetAddress()
		a.DialPeers(&addr)
		peerOfA, errA := a.onlyPeer()
		peerOfB, errB := b.onlyPeer()
		if err := errors.Join(errA, errB); err != nil {
			return nil, errors.Join(err, a.close(), b.close())
		}

		return &harness.Pipe{
			Send: peerOfA.Send, Reply: peerOfB.Send,
			Close: func() error { return errors.Join(a.close(), b.close()) },
		}, nil
	}
}

func newNetwork(newTransport transportMaker, channels []*compat.ChannelDescriptor) *harness.Network {
	return &harness.Network{
		NewHub: func() (*harness.Hub, error) {
			n, err := newNode(newTransport, channels, func(byte, []byte) {})
			if err != nil {
				return nil, err
			}
			addr := n.transport.NetAddress()

			return &harness.Hub{
				Addr:      addr.String(),
				Peers:     func() int { return len(n.Peers().List()) },
				Broadcast: func(msg []byte) { n.Broadcast(harness.ChHigh, msg) },
				Close:     n.close,
			}, nil
		},
		NewLeaf: func(addr string, on harness.Handler) error {
			n, err := newNode(newTransport, channels, on)
			if err != nil {
				return err
			}
			hub, err := types.NewNetAddressFromString(addr)
			if err != nil {
				return err
			}
			n.DialPeers(hub)
			_, err = n.onlyPeer()

			return err
		},
	}
}
