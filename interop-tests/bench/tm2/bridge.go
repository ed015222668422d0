package main

import (
	"errors"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// bridged is a bridge with libp2p nodes behind it.
type bridged struct {
	*bridge.Bridge
	node  *node // the first of them
	nodes []*node
}

func newBridged(targets int, channels []*compat.ChannelDescriptor, on harness.Handler) (*bridged, error) {
	b := &bridged{}
	var addrs []*types.NetAddress
	for range targets {
		n, err := newNode(libp2pTransport(), channels, on)
		if err != nil {
			return nil, errors.Join(err, b.closeNodes())
		}
		addr := n.transport.NetAddress()
		b.nodes, addrs = append(b.nodes, n), append(addrs, &addr)
	}
	b.node = b.nodes[0]
	listen := types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}
	var err error
	b.Bridge, err = bridge.New(*types.GenerateNodeKey(), bridge.Config{
		NativeListen: listen, Libp2pListen: listen, Libp2pPeers: addrs, OnlyConfigured: true,
		AllowDuplicateIP: true, MaxPairs: harness.MaxPeers, MaxPairsPerIP: harness.MaxPeers,
		MConfig: lifted(), Channels: channels,
	}, nil)
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		return nil, errors.Join(err, b.closeNodes())
	}

	return b, nil
}

func (b *bridged) closeNodes() (err error) {
	for _, n := range b.nodes {
		err = errors.Join(err, n.close())
	}

	return err
}

func (b *bridged) close() error { return errors.Join(b.Stop(), b.closeNodes()) }

// openBridged opens a native node A and a libp2p node B that a bridge joins.
func openBridged(channels []*compat.ChannelDescriptor) harness.Opener {
	return func(onB, onA harness.Handler) (*harness.Pipe, error) {
		b, err := newBridged(1, channels, onB)
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

// openBridgedPairs opens native nodes and as many libp2p nodes, which one bridge joins one to one.
func openBridgedPairs(channels []*compat.ChannelDescriptor) harness.ManyOpener {
	return func(n int, onB harness.Handler) (*harness.Pairs, error) {
		b, err := newBridged(n, channels, onB)
		if err != nil {
			return nil, err
		}
		pairs, natives := &harness.Pairs{}, []*node(nil)
		pairs.Close = func() (err error) {
			for _, a := range natives {
				err = errors.Join(err, a.close())
			}

			return errors.Join(err, b.close())
		}
		addr := b.NativeAddress()
		for range n {
			a, err := newNode(nativeTransport(lifted()), channels, func(byte, []byte) {})
			if err != nil {
				return nil, errors.Join(err, pairs.Close())
			}
			natives = append(natives, a)
			a.DialPeers(&addr)
			peer, err := a.onlyPeer()
			if err != nil {
				return nil, errors.Join(err, pairs.Close())
			}
			pairs.Sends = append(pairs.Sends, peer.Send)
		}
		for _, node := range b.nodes {
			if _, err := node.onlyPeer(); err != nil { // each has one, since they are balanced
				return nil, errors.Join(err, pairs.Close())
			}
		}

		return pairs, nil
	}
}

// bridgedNetwork has a bridge, with its libp2p node, as the hub, and native nodes as leaves. So an
// idle peer is a pair and the libp2p node's end of it.
func bridgedNetwork(channels []*compat.ChannelDescriptor) *harness.Network {
	nw := newNetwork(nativeTransport(lifted()), channels)
	nw.NewHub = func() (*harness.Hub, error) {
		b, err := newBridged(1, channels, func(byte, []byte) {})
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
