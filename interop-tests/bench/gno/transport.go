package main

import (
	"context"
	"errors"
	"net"

	"github.com/gnolang/gno/tm2/pkg/log"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/gnolang/gno/tm2/pkg/versionset"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// newTransport returns a transport that listens on the loopback interface.
func newTransport(config conn.MConnConfig, channels []*conn.ChannelDescriptor) (*p2p.MultiplexTransport, error) {
	key := types.GenerateNodeKey()
	addr, err := types.NewNetAddress(key.ID(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	info := types.NodeInfo{
		VersionSet: versionset.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: addr, Network: "bench", Software: "bench", Version: "v1.0.0", Moniker: "bench",
	}
	for _, d := range channels {
		info.Channels = append(info.Channels, d.ID)
	}
	t := p2p.NewMultiplexTransport(info, *key, config, log.NewNoopLogger())

	return t, t.Listen(*addr)
}

// behavior is the PeerBehavior of a switch without reactors, for a transport alone.
type behavior struct{}

func (behavior) ReactorChDescriptors() []*conn.ChannelDescriptor {
	return twoChannels(harness.QueueMessages)
}
func (behavior) Reactors() map[byte]p2p.Reactor      { return nil }
func (behavior) HandlePeerError(p2p.PeerConn, error) {}
func (behavior) IsPersistentPeer(types.ID) bool      { return false }
func (behavior) IsPrivatePeer(types.ID) bool         { return false }

func openConnector(workers int) (*harness.Connector, error) {
	transports := make([]*p2p.MultiplexTransport, workers+1) // the first one listens
	for i := range transports {
		t, err := newTransport(defaults(), twoChannels(harness.QueueMessages))
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
		Connect: func(worker int) error {
			p, err := dialers[worker].Dial(ctx, node.NetAddress(), behavior{})
			if err != nil {
				return err
			}
			dialers[worker].Remove(p)

			return p.CloseConn()
		},
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

// acceptAll accepts and closes connections.
func acceptAll(ctx context.Context, node *p2p.MultiplexTransport) error {
	for {
		p, err := node.Accept(ctx, behavior{})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		node.Remove(p)
		if err := p.CloseConn(); err != nil {
			return err
		}
	}
}
