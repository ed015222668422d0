package main

import (
	"context"
	"errors"
	"net"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

type transport = compat.ListeningTransport

// transportMaker makes a transport for the channels. The transport does not listen yet.
type transportMaker func(channels []*compat.ChannelDescriptor) (transport, error)

func nativeTransport(config mconn.MConnConfig) transportMaker {
	return func(channels []*compat.ChannelDescriptor) (transport, error) {
		key := types.GenerateNodeKey()

		return native.NewMultiplexTransport(nodeInfo(key.ID(), channels), *key, config, nil), nil
	}
}

func libp2pTransport(opts ...lp2p.Option) transportMaker {
	return func(channels []*compat.ChannelDescriptor) (transport, error) {
		key := types.GenerateNodeKey()

		return lp2p.NewTransport(nodeInfo(key.ID(), channels), *key, nil, opts...)
	}
}

func dualTransport(config mconn.MConnConfig, opts ...dual.Option) transportMaker {
	return func(channels []*compat.ChannelDescriptor) (transport, error) {
		key := types.GenerateNodeKey()

		return dual.NewTransport(nodeInfo(key.ID(), channels), *key, config, nil, opts...)
	}
}

func nodeInfo(id types.ID, channels []*compat.ChannelDescriptor) types.NodeInfo {
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)},
		Network:    "bench", Software: "bench", Version: "v1.0.0", Moniker: "bench",
	}
	for _, d := range channels {
		info.Channels = append(info.Channels, d.ID)
	}

	return info
}

// listening makes a transport that listens on the loopback interface.
func listening(newTransport transportMaker, channels []*compat.ChannelDescriptor) (transport, error) {
	t, err := newTransport(channels)
	if err != nil {
		return nil, err
	}
	if err := t.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, errors.Join(err, t.Close())
	}

	return t, nil
}

// behavior is the PeerBehavior of a switch without reactors, for a transport alone.
type behavior struct{}

func (behavior) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return twoChannels(harness.QueueMessages)
}
func (behavior) Reactors() map[byte]compat.Reactor      { return nil }
func (behavior) HandlePeerError(compat.PeerConn, error) {}
func (behavior) IsPersistentPeer(types.ID) bool         { return false }
func (behavior) IsPrivatePeer(types.ID) bool            { return false }

func openConnector(newTransport transportMaker) func(workers int) (*harness.Connector, error) {
	return func(workers int) (*harness.Connector, error) {
		transports := make([]transport, workers+1) // the first one is dialed
		for i := range transports {
			t, err := listening(newTransport, twoChannels(harness.QueueMessages))
			if err != nil {
				return nil, err
			}
			transports[i] = t
		}
		node, dialers := transports[0], transports[1:]

		ctx, cancel := context.WithCancel(context.Background())
		accepted := make(chan error, 1)
		go func() { accepted <- acceptAll(ctx, node) }()

		return &harness.Connector{
			Connect: func(worker int) error { return connect(ctx, dialers[worker], node.NetAddress()) },
			Close: func() error {
				cancel()
				err := <-accepted
				for _, t := range transports {
					err = errors.Join(err, t.Close())
				}

				return err
			},
		}, nil
	}
}

// connect dials and closes the connection. It closes the libp2p connection below a session,
// so that the next call cannot reuse it.
func connect(ctx context.Context, t transport, addr types.NetAddress) error {
	p, err := t.Dial(ctx, addr, behavior{})
	if err != nil {
		return err
	}
	if !isLibp2p(p) {
		t.Remove(p)

		return nil
	}
	if d, ok := t.(*dual.Transport); ok {
		t = d.Libp2p()
	}

	return closePeers(t.(*lp2p.Transport).Host().Network())
}

func isLibp2p(p compat.PeerConn) bool {
	s, ok := p.(compat.StackReporter)

	return ok && s.Stack() == types.StackLibp2p
}

func closePeers(n network.Network) error {
	var err error
	for _, id := range n.Peers() {
		err = errors.Join(err, n.ClosePeer(id))
	}

	return err
}

// acceptAll accepts connections. It leaves closing to the dialers when their side of the
// handshake may not have finished.
func acceptAll(ctx context.Context, node transport) error {
	for {
		p, err := node.Accept(ctx, behavior{})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isLibp2p(p) {
			node.Remove(p)
		}
	}
}
