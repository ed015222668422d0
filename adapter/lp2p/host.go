package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
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

	// peerSpareStreams are those of a peer beside its sessions.
	peerSpareStreams = 64

	connGracePeriod = 20 * time.Second
	// connRate is how many connections a second one IP may open after a burst of
	// twice its limit.
	connRate = 8
)

// newHost returns a libp2p host that listens nowhere yet: TCP, Noise and TLS,
// yamux, QUIC where it is enabled, identify, and nothing else. A nil gater lets
// everybody in.
func newHost(key ed25519.PrivateKey, o *options, gater *gater) (_ host.Host, err error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("unable to use the node key: %w", err)
	}

	resources, err := newResourceManager(o)
	if err != nil {
		return nil, fmt.Errorf("unable to make a resource manager: %w", err)
	}
	// Only connections without a session count for the low mark: the others are
	// protected.
	conns, err := connmgr.NewConnManager(o.limits.IdleConnections, o.limits.ConnectionsHigh,
		connmgr.WithGracePeriod(connGracePeriod))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to make a connection manager: %w", err), resources.Close())
	}

	metrics := libp2p.DisableMetrics()
	if o.registerer != nil {
		metrics = libp2p.PrometheusRegisterer(o.registerer)
	}

	opts := append(o.transports(),
		libp2p.Identity(identity),
		libp2p.NoListenAddrs,
		libp2p.Security(noise.ID, newNoise),
		libp2p.Security(tls.ID, newTLS),
		libp2p.Muxer(yamux.ID, newMuxer(o.timeouts)),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.UserAgent(userAgent),
		libp2p.Ping(false),
		libp2p.WithDialTimeout(o.timeouts.Dial),
		// The switch decides how often to try; a detector must not veto it.
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
func (o *options) transports() []libp2p.Option {
	// Dialing from the listening port makes crossed dials collide in TCP.
	opts := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(), tcp.WithConnectionTimeout(o.timeouts.Dial)),
	}
	if o.tcp != nil {
		opts = []libp2p.Option{o.tcp}
	}
	if o.quic != quicOff {
		opts = append(opts, libp2p.Transport(libp2pquic.NewTransport))
	}

	return opts
}

// newMuxer returns yamux. It asks a connection that was silent for KeepAlive
// whether the remote is there: it waits at most Pong for its turn to ask, and at
// most Pong for the answer. A write fails after Pong.
func newMuxer(t Timeouts) network.Multiplexer {
	config := *yamux.DefaultTransport
	config.MaxStreamWindowSize = maxStreamWindow
	config.MaxMessageSize = maxFrame
	config.EnableKeepAlive = true
	config.KeepAliveInterval = t.KeepAlive
	config.ConnectionWriteTimeout = t.Pong

	return meteredMuxer{&config}
}

// newResourceManager derives libp2p's limits from ours. The defaults of go-libp2p
// allow 8 connections and 16 in a burst for each IP, which would stop a network
// behind one address.
func newResourceManager(o *options) (network.ResourceManager, error) {
	l := o.limits
	// Beside the streams of sessions there are those of identify and others that
	// come and go.
	peerStreams := l.SessionsPerPeer*o.budget.streams + peerSpareStreams
	streams := l.Connections*o.budget.streams + peerStreams

	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(l.Connections), ConnsInbound: rcmgr.LimitVal(l.ConnectionsInbound),
			ConnsOutbound: rcmgr.LimitVal(l.Connections), FD: rcmgr.LimitVal(l.Connections),
			Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(streams),
			StreamsOutbound: rcmgr.LimitVal(streams),
			Memory:          rcmgr.LimitVal64(streams) * streamWindow,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(l.Connections), ConnsInbound: rcmgr.LimitVal(min(l.ConnectionsInbound, 2*l.Handshakes)),
			ConnsOutbound: rcmgr.LimitVal(l.Connections), FD: rcmgr.LimitVal(l.Connections),
			Streams: rcmgr.LimitVal(streams), StreamsInbound: rcmgr.LimitVal(min(streams, 16*l.Handshakes)),
			StreamsOutbound: rcmgr.LimitVal(streams),
			Memory:          rcmgr.LimitVal64(streams) * streamWindow,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 8, ConnsInbound: 8, ConnsOutbound: 8, FD: 8,
			Streams: rcmgr.LimitVal(peerStreams), StreamsInbound: rcmgr.LimitVal(peerStreams),
			StreamsOutbound: rcmgr.LimitVal(peerStreams),
			// Windows grow only in the lower half of a limit.
			Memory: 2 * (rcmgr.LimitVal64(peerStreams)*streamWindow + rcmgr.LimitVal64(o.budget.growth)),
		},
	}

	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnectionsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{
				{PrefixLength: 64, ConnCount: l.ConnectionsPerIP},
				{PrefixLength: 48, ConnCount: 8 * l.ConnectionsPerIP},
			}),
		rcmgr.WithConnRateLimiters(newConnRateLimiter(l.ConnectionsPerIP, o.loopbackCounts)),
	}
	if o.loopbackCounts {
		opts = append(opts, rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{}))
	}
	if o.registerer == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}

	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)), opts...)
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

// tunedSecurity sets the options of a connection's socket before it is secured:
// libp2p has no other place for it that covers both directions.
type tunedSecurity struct{ sec.SecureTransport }

// SecureInbound implements sec.SecureTransport.
func (t tunedSecurity) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	if err := socket.LimitUnsent(insecure); err != nil {
		return nil, err
	}

	return t.SecureTransport.SecureInbound(ctx, insecure, p)
}

// SecureOutbound implements sec.SecureTransport.
func (t tunedSecurity) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	if err := socket.LimitUnsent(insecure); err != nil {
		return nil, err
	}

	return t.SecureTransport.SecureOutbound(ctx, insecure, p)
}

func newNoise(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := noise.New(id, key, muxers)

	return tunedSecurity{t}, err
}

func newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := tls.New(id, key, muxers)

	return tunedSecurity{t}, err
}
