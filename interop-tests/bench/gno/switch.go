package main

import (
	"errors"

	"github.com/gnolang/gno/tm2/pkg/log"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// reactor passes received messages to a handler.
type reactor struct {
	p2p.BaseReactor
	channels []*conn.ChannelDescriptor
	on       harness.Handler
}

func newReactor(channels []*conn.ChannelDescriptor, on harness.Handler) *reactor {
	r := &reactor{channels: channels, on: on}
	r.BaseReactor = *p2p.NewBaseReactor("bench", r)

	return r
}

func (r *reactor) GetChannels() []*conn.ChannelDescriptor      { return r.channels }
func (r *reactor) Receive(ch byte, _ p2p.PeerConn, msg []byte) { r.on(ch, msg) }

// newNetwork returns a network of switches.
func newNetwork(config conn.MConnConfig, channels []*conn.ChannelDescriptor) *harness.Network {
	newSwitch := func(on harness.Handler) (*p2p.MultiplexSwitch, *p2p.MultiplexTransport, error) {
		t, err := newTransport(config, channels)
		if err != nil {
			return nil, nil, err
		}
		sw := p2p.NewMultiplexSwitch(t,
			p2p.WithReactor("bench", newReactor(channels, on)),
			p2p.WithMaxInboundPeers(harness.MaxPeers), p2p.WithMaxOutboundPeers(harness.MaxPeers),
			p2p.WithAllowDuplicateIP(true))
		sw.SetLogger(log.NewNoopLogger())

		return sw, t, sw.Start()
	}

	return &harness.Network{
		NewHub: func() (*harness.Hub, error) {
			sw, t, err := newSwitch(func(byte, []byte) {})
			if err != nil {
				return nil, err
			}
			addr := t.NetAddress()

			return &harness.Hub{
				Addr:      addr.String(),
				Peers:     func() int { return len(sw.Peers().List()) },
				Broadcast: func(msg []byte) { sw.Broadcast(harness.ChHigh, msg) },
				Close:     func() error { return errors.Join(sw.Stop(), t.Close()) },
			}, nil
		},
		NewLeaf: func(addr string, on harness.Handler) error {
			sw, _, err := newSwitch(on)
			if err != nil {
				return err
			}
			na, err := types.NewNetAddressFromString(addr)
			if err != nil {
				return err
			}
			sw.DialPeers(na)

			return harness.Await("peer of the leaf", func() bool { return len(sw.Peers().List()) == 1 })
		},
	}
}
