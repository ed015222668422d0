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
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	userAgent = "tm2-libp2p"

	// streamWindow is the receive window with which yamux opens a stream, in
	// bytes (yamux specification); it is what a parked stream can make us hold.
	streamWindow = 256 << 10
	// maxStreamWindow is how far the window of a busy stream grows, in bytes.
	maxStreamWindow = 4 << 20
	// maxFrame is the largest yamux frame: with its header one Noise message.
	maxFrame = noise.MaxPlaintextLength

	// writeTimeout is how long a connection may take nothing before it counts as
	// dead. A receiver that is merely busy is kept, as long as a ping of a native
	// node may take (docs/wire.md §5.2).
	writeTimeout = 45 * time.Second

	connGracePeriod = 20 * time.Second
	// connRate is how many connections a second one IP may open after a burst of
	// twice its limit.
	connRate = 8
)

// newHost returns a libp2p host that listens nowhere yet: TCP, Noise and TLS,
// yamux, identify, and nothing else.
func newHost(key ed25519.PrivateKey, o *options) (_ host.Host, err error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("unable to use the node key: %w", err)
	}

	resources, err := newResourceManager(o)
	if err != nil {
		return nil, fmt.Errorf("unable to make a resource manager: %w", err)
	}
	conns, err := connmgr.NewConnManager(o.limits.Connections*3/4, o.limits.Connections*7/8,
		connmgr.WithGracePeriod(connGracePeriod))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to make a connection manager: %w", err), resources.Close())
	}

	metrics := libp2p.DisableMetrics()
	if o.registerer != nil {
		metrics = libp2p.PrometheusRegisterer(o.registerer)
	}

	opts := []libp2p.Option{
		libp2p.Identity(identity),
		libp2p.NoListenAddrs,
		// Dialing from the listening port makes crossed dials collide in TCP.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(), tcp.WithConnectionTimeout(o.timeouts.Dial)),
		libp2p.Security(noise.ID, newNoise),
		libp2p.Security(tls.ID, newTLS),
		libp2p.Muxer(yamux.ID, newMuxer()),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.UserAgent(userAgent),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableIdentifyAddressDiscovery(),
		// Otherwise a prober for NAT runs.
		libp2p.ForceReachabilityPublic(),
		libp2p.WithDialTimeout(o.timeouts.Dial),
		// The switch decides how often to try; a detector must not veto it.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		metrics,
	}

	h, err := libp2p.New(append(opts, o.libp2p...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to make a libp2p host: %w", err), conns.Close(), resources.Close())
	}

	return h, nil
}

func newMuxer() network.Multiplexer {
	config := *yamux.DefaultTransport
	config.MaxStreamWindowSize = maxStreamWindow
	config.MaxMessageSize = maxFrame
	config.ConnectionWriteTimeout = writeTimeout

	return meteredMuxer{&config}
}

// newResourceManager derives libp2p's limits from ours. The defaults of go-libp2p
// allow 8 connections and 16 in a burst for each IP, which would stop a network
// behind one address.
func newResourceManager(o *options) (network.ResourceManager, error) {
	l := o.limits
	// Each session has a control stream and at most one data stream for each
	// channel and direction; the rest is for identify and streams that come and go.
	sessionStreams := 1 + 2*compat.MaxChannels
	peerStreams := l.SessionsPerPeer*sessionStreams + 64
	streams := l.Connections*sessionStreams + peerStreams

	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(l.Connections), ConnsInbound: rcmgr.LimitVal(l.Connections),
			ConnsOutbound: rcmgr.LimitVal(l.Connections), FD: rcmgr.LimitVal(l.Connections),
			Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(streams),
			StreamsOutbound: rcmgr.LimitVal(streams),
			Memory:          rcmgr.LimitVal64(streams) * streamWindow,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(l.Connections), ConnsInbound: rcmgr.LimitVal(min(l.Connections, 2*l.Handshakes)),
			ConnsOutbound: rcmgr.LimitVal(l.Connections), FD: rcmgr.LimitVal(l.Connections),
			Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(min(streams, 16*l.Handshakes)),
			StreamsOutbound: rcmgr.LimitVal(streams),
			Memory:          rcmgr.LimitVal64(streams) * streamWindow,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 8, ConnsInbound: 8, ConnsOutbound: 8, FD: 8,
			Streams: rcmgr.LimitVal(peerStreams), StreamsInbound: rcmgr.LimitVal(peerStreams),
			StreamsOutbound: rcmgr.LimitVal(peerStreams),
			Memory:          rcmgr.LimitVal64(peerStreams)*streamWindow + 16*maxStreamWindow,
		},
	}

	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnectionsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{
				{PrefixLength: 64, ConnCount: l.ConnectionsPerIP},
				{PrefixLength: 48, ConnCount: 8 * l.ConnectionsPerIP},
			}),
		rcmgr.WithConnRateLimiters(newConnRateLimiter(l.ConnectionsPerIP)),
	}
	if o.registerer == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}

	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)), opts...)
}

func newConnRateLimiter(perIP int) *rate.Limiter {
	one := rate.Limit{RPS: connRate, Burst: 2 * perIP}
	site := rate.Limit{RPS: 8 * connRate, Burst: 16 * perIP}

	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, // no limit
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: one}, {PrefixLength: 48, Limit: site}},
			GracePeriod:      time.Minute,
		},
	}
}
