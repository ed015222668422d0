package main

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

const protocolID = "/bench/1.0.0"

// hostMaker makes a host without limits that listens on the loopback interface.
type hostMaker func() (host.Host, error)

func newTCPHost() (host.Host, error) {
	return libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
	)
}

func newQUICHost() (host.Host, error) {
	return libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"),
		libp2p.Transport(quic.NewTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
	)
}

func (newHost hostMaker) pair() (a, b host.Host, err error) {
	if a, err = newHost(); err != nil {
		return nil, nil, err
	}
	if b, err = newHost(); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}

	return a, b, nil
}

func infoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// openConnector measures host.Connect and ClosePeer.
func (newHost hostMaker) openConnector(workers int) (*harness.Connector, error) {
	hosts := make([]host.Host, workers+1) // the first one listens
	for i := range hosts {
		h, err := newHost()
		if err != nil {
			return nil, err
		}
		hosts[i] = h
	}
	node, dialers := hosts[0], hosts[1:]

	return &harness.Connector{
		Connect: func(worker int) error {
			if err := dialers[worker].Connect(context.Background(), infoOf(node)); err != nil {
				return err
			}

			return dialers[worker].Network().ClosePeer(node.ID())
		},
		Close: func() error {
			var err error
			for _, h := range hosts {
				err = errors.Join(err, h.Close())
			}

			return err
		},
	}, nil
}
