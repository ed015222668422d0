package main

import (
	"errors"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// bridged is a bridge with a libp2p node behind it.
type bridged struct {
	*bridge.Bridge
	node *node
}

func newBridged(channels []*compat.ChannelDescriptor, on harness.Handler) (*bridged, error) {
	n, err := newNode(libp2pTransport(), channels, on)
	if err != nil {
		return nil, err
	}
	addr := n.transport.NetAddress()
	listen := types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}
	b, err := bridge.New(*types.GenerateNodeKey(), bridge.Config{
		NativeListen: listen, Libp2pListen: listen, Libp2pPeers: []*types.NetAddress{&addr}, OnlyConfigured: true,
		AllowDuplicateIP: true, MaxPairs: harness.MaxPeers, MaxPairsPerIP: harness.MaxPeers,
		MConfig: lifted(), Channels: channels,
	}, nil)
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}

	return &bridged{b, n}, nil
}

func (b *bridged) close() error { return errors.Join(b.Stop(), b.node.close()) }

// openBridged opens a native node A and a libp2p node B that a bridge joins.
func openBridged(channels []*compat.ChannelDescriptor) harness.Opener {
	return func(onB, onA harness.Handler) (*harness.Pipe, error) {
		b, err := newBridged(channels, onB)
		if err != nil {
			return nil, err
		}
		a, err := newNode(nativeTransport(lifted()), channels, onA)
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		addr := b.NativeAddress()
		a.DialPeers(&addr)
		peerOfA, errA := a.onlyPeer()
		peerOfB, errB := b.node.onlyPeer()
		if err := errors.Join(errA, errB); err != nil {
			return nil, errors.Join(err, a.close(), b.close())
		}

		return &harness.Pipe{
			Send: peerOfA.Send, Reply: peerOfB.Send,
			Close: func() error { return errors.Join(a.close(), b.close()) },
		}, nil
	}
}

// bridgedNetwork has a bridge, with its libp2p node, as the hub, and native nodes as leaves. So an
// idle peer is a pair and the libp2p node's end of it.
func bridgedNetwork(channels []*compat.ChannelDescriptor) *harness.Network {
	nw := newNetwork(nativeTransport(lifted()), channels)
	nw.NewHub = func() (*harness.Hub, error) {
		b, err := newBridged(channels, func(byte, []byte) {})
		if err != nil {
			return nil, err
		}
		addr := b.NativeAddress()

		return &harness.Hub{
			Addr:      addr.String(),
			Peers:     func() int { return len(b.Status().Pairs) },
			Broadcast: func(msg []byte) { b.node.Broadcast(harness.ChHigh, msg) },
			Close:     b.close,
		}, nil
	}

	return nw
}
