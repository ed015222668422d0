package lp2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/x/rate"
)

const (
	userAgent = "tm2-libp2p"

	// streamWindow is the receive window in bytes with which yamux opens a stream (yamux
	// specification). It bounds what a stream that is not read yet makes us hold.
	streamWindow = 256 << 10
	// maxStreamWindow is how far the window of a busy stream grows, in bytes. Half of it
	// covers 100 Mbit/s over a round trip of 300 ms, and what Linux lets a TCP connection have
	// on its way by default (4 MiB, tcp_wmem). It is streamWindow, doubled some times (windows).
	maxStreamWindow = 32 * streamWindow
	// maxGrowth bounds by how many bytes all windows of a peer grow together.
	maxGrowth = 32 << 20
	// maxFrame is the largest yamux frame, header included: one Noise message.
	maxFrame = noise.MaxPlaintextLength

	// muxerBacklog is how many streams of a connection yamux keeps until they are accepted
	// (AcceptBacklog of its default configuration); it resets further ones.
	muxerBacklog = 256

	// peerConns is how many connections a peer may have.
	peerConns = 8

	connGracePeriod = 20 * time.Second
	// connRate is how many connections a second one IP may open after a burst of
	// twice its limit.
	connRate = 8
)

// newHost returns a libp2p host that does not listen yet. It has TCP, Noise and TLS,
// yamux, QUIC if that is enabled, identify, and nothing else. A nil gater refuses nothing.
func newHost(key ed25519.PrivateKey, o *options, gater *gater) (_ host.Host, err error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("unable to use the node key: %w", err)
	}

	resources, err := newResourceManager(o)
	if err != nil {
		return nil, fmt.Errorf("unable to make a resource manager: %w", err)
	}
	// Connections with a session are protected, so that only the others count for the low
	// mark.
	conns, err := connmgr.NewConnManager(o.limits.IdleConnections, o.limits.ConnectionsHigh,
		connmgr.WithGracePeriod(connGracePeriod))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to make a connection manager: %w", err), resources.Close())
	}

	metrics := libp2p.DisableMetrics()
	if o.registerer != nil {
		metrics = libp2p.PrometheusRegisterer(o.registerer)
	}

	opts := append(o.transports(gater),
		libp2p.Identity(identity),
		libp2p.NoListenAddrs,
		o.security.option(),
		libp2p.Muxer(yamux.ID, newMuxer(o.timeouts)),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.UserAgent(userAgent),
		libp2p.Ping(false),
		libp2p.MultiaddrResolver(noNames{}),
		libp2p.WithDialTimeout(o.timeouts.Dial),
		libp2p.SwarmOpts(swarm.WithDialTimeoutLocal(o.timeouts.Dial)), // else 5 s at private addresses
		// The switch decides how often to dial, not a detector of black holes.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		metrics,
	)
	if gater != nil {
		opts = append(opts, libp2p.ConnectionGater(gater))
	}

	opts = append(opts, o.nat.hostOptions(o.timeouts)...)
	h, err := libp2p.New(append(opts, o.libp2p...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to make a libp2p host: %w", err), conns.Close(), resources.Close())
	}

	return h, nil
}

// transports returns what the host listens to and dials.
func (o *options) transports(g *gater) []libp2p.Option {
	opts := []libp2p.Option{o.tcp}
	if o.tcp == nil {
		opts[0] = libp2p.Transport(o.newTCP(g))
	}
	if o.quic != quicOff {
		opts = append(opts, libp2p.Transport(libp2pquic.NewTransport))
	}

	return opts
}

// rttInterval is the time between two measurements of a connection's round trip, from which
// yamux learns how far a window has to grow.
const rttInterval = time.Minute

// newMuxer returns yamux. It pings the remote when a connection was silent for KeepAlive at
// most, waits at most Pong until the ping is sent, and at most Pong for the answer. A write
// fails after Pong.
func newMuxer(t Timeouts) network.Multiplexer {
	config := *yamux.DefaultTransport
	config.MaxStreamWindowSize = maxStreamWindow
	config.MaxMessageSize = maxFrame
	config.EnableKeepAlive = true
	config.KeepAliveInterval = t.KeepAlive
	config.MeasureRTTInterval = rttInterval
	config.ConnectionWriteTimeout = t.Pong

	return meteredMuxer{&config}
}

// newResourceManager derives libp2p's limits from ours. The defaults of go-libp2p allow
// each IP 8 connections, and 16 in a burst, which is too few for a network behind one IP.
func newResourceManager(o *options) (network.ResourceManager, error) {
	l, perPeer := o.limits, o.streamLimits()
	// Of one direction: what guardedResources grants. The limits for all peers are the sum
	// of what each may have, so that none uses up what another one needs: yamux ends a
	// connection for which it gets no memory.
	peerStreams := perPeer.spare + l.SessionsPerPeer*perPeer.perSession
	streams := l.Connections*(perPeer.spare+perPeer.perSession) + peerStreams

	// Windows grow only in the lower half of a limit.
	peerMemory := 2 * (int64(2*peerStreams+muxerBacklog)*streamWindow + o.budget.growth)
	memory := 2 * (int64(2*streams+l.Connections*muxerBacklog)*streamWindow + int64(l.Connections)*o.budget.growth)
	limits := rcmgr.PartialLimitConfig{
		System:      resourceLimits(l.Connections, l.ConnectionsInbound, streams, memory),
		Transient:   resourceLimits(l.Connections, min(l.ConnectionsInbound, 2*l.Handshakes), streams, memory),
		PeerDefault: resourceLimits(peerConns, peerConns, peerStreams, peerMemory),
	}

	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnectionsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{
				{PrefixLength: 64, ConnCount: l.ConnectionsPerIP},
				{PrefixLength: 48, ConnCount: 8 * l.ConnectionsPerIP},
			}),
		rcmgr.WithConnRateLimiters(new(rate.Limiter)), // guardedResources limits the rate
	}
	if o.loopbackCounts {
		opts = append(opts, rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{}))
	}
	if o.registerer == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}

	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)), opts...)
	if err != nil {
		return nil, err
	}

	return guardedResources{
		ResourceManager: resources, limits: perPeer, sessionless: o.sessionless, udp: o.udp,
		rate: newConnRateLimiter(l.ConnectionsPerIP, o.loopbackCounts),
	}, nil
}

// resourceLimits takes the number of streams of each direction.
func resourceLimits(conns, connsInbound, streams int, memory int64) rcmgr.ResourceLimits {
	return rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(conns), ConnsInbound: rcmgr.LimitVal(connsInbound),
		ConnsOutbound: rcmgr.LimitVal(conns), FD: rcmgr.LimitVal(conns),
		Streams: rcmgr.LimitVal(2 * streams), StreamsInbound: rcmgr.LimitVal(streams),
		StreamsOutbound: rcmgr.LimitVal(streams), Memory: rcmgr.LimitVal64(memory),
	}
}

func newConnRateLimiter(perIP int, loopbackCounts bool) *rate.Limiter {
	exempt := []rate.PrefixLimit{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, // no limit
		{Prefix: netip.MustParsePrefix("::1/128")},
	}
	if loopbackCounts {
		exempt = nil
	}
	one := rate.Limit{RPS: connRate, Burst: 2 * perIP}
	site := rate.Limit{RPS: 8 * connRate, Burst: 16 * perIP}

	return &rate.Limiter{
		NetworkPrefixLimits: exempt,
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: one}, {PrefixLength: 48, Limit: site}},
			GracePeriod:      time.Minute,
		},
	}
}
