package lp2p

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Limits of one session that are part of the protocol (docs/sessions.md §8).
const (
	maxSendBytes    = 20 << 20 // messages that are accepted and not yet written
	maxPartialBytes = 20 << 20 // arrived bytes that no reactor has received yet, all channels together
)

// Limits bounds what remotes may take up before the switch has a say.
type Limits struct {
	// Handshakes, HandshakesPerIP and HandshakesPerPeer bound the inbound
	// handshakes under way at a time. IPv6 addresses count by their /64.
	Handshakes, HandshakesPerIP, HandshakesPerPeer int
	// SessionsPerPeer bounds the inbound sessions, pending or active, of one
	// libp2p peer; only a bridge has more than one or two.
	SessionsPerPeer int
	// Connections and ConnectionsPerIP bound the libp2p connections of both
	// directions. The limit per IP does not apply to loopback addresses.
	Connections, ConnectionsPerIP int
	// ConnectionsInbound bounds those that remotes have opened, so that they
	// leave places for ours. Zero stands for seven eighths of Connections.
	ConnectionsInbound int
	// IdleConnections is how many connections without a session are left when
	// there are more than ConnectionsHigh of all: a connection with a session is
	// never closed for another. Zeros stand for an eighth and three quarters of
	// Connections.
	IdleConnections, ConnectionsHigh int
}

// DefaultLimits returns the limits of a transport without WithLimits.
func DefaultLimits() Limits {
	return Limits{
		Handshakes: 1024, HandshakesPerIP: 64, HandshakesPerPeer: 32,
		SessionsPerPeer: 64,
		Connections:     512, ConnectionsPerIP: 64,
	}
}

// filled puts numbers in the place of zeros that stand for them.
func (l Limits) filled() Limits {
	if l.ConnectionsInbound == 0 {
		l.ConnectionsInbound = max(1, l.Connections*7/8)
	}
	if l.IdleConnections == 0 {
		l.IdleConnections = max(1, l.Connections/8)
	}
	if l.ConnectionsHigh == 0 {
		l.ConnectionsHigh = max(l.IdleConnections, l.Connections*3/4)
	}

	return l
}

// Validate names the first field that is not positive, or not below the one that
// bounds it.
func (l Limits) Validate() error {
	l = l.filled()
	if err := positive([]field{
		{"Handshakes", int64(l.Handshakes)}, {"HandshakesPerIP", int64(l.HandshakesPerIP)},
		{"HandshakesPerPeer", int64(l.HandshakesPerPeer)}, {"SessionsPerPeer", int64(l.SessionsPerPeer)},
		{"Connections", int64(l.Connections)}, {"ConnectionsPerIP", int64(l.ConnectionsPerIP)},
		{"ConnectionsInbound", int64(l.ConnectionsInbound)}, {"IdleConnections", int64(l.IdleConnections)},
		{"ConnectionsHigh", int64(l.ConnectionsHigh)},
	}); err != nil {
		return err
	}
	switch {
	case l.ConnectionsInbound > l.Connections:
		return errors.New("ConnectionsInbound is above Connections")
	case l.ConnectionsHigh > l.Connections:
		return errors.New("ConnectionsHigh is above Connections")
	case l.IdleConnections > l.ConnectionsHigh:
		return errors.New("IdleConnections is above ConnectionsHigh")
	default:
		return nil
	}
}

// Timeouts are the deadlines of a transport.
type Timeouts struct {
	// Dial bounds the connection attempt, a probe, and the libp2p upgrade.
	Dial time.Duration
	// Handshake bounds the session handshake, from the open connection to the
	// answer, and the header of a data stream.
	Handshake time.Duration
	// Assembly bounds the arrival of one message once its first byte is there.
	Assembly time.Duration
	// Flush bounds FlushStop, and how long an ending session waits for its
	// reactors to receive what the remote has announced.
	Flush time.Duration
	// Linger bounds each of the two steps of an orderly end: writing the goodbye,
	// and waiting for the remote to notice it.
	Linger time.Duration
	// KeepAlive is how long a TCP connection may be silent until the remote is
	// asked whether it is there. QUIC asks after 15 seconds, whatever this says.
	KeepAlive time.Duration
	// Pong bounds how long the remote may take to answer that, and how long a TCP
	// connection may take no data; yamux may give up after half of that. A remote
	// that is only busy answers: its messages wait in the windows of their streams.
	// So one that is gone, or cannot be reached, is noticed after KeepAlive and
	// twice Pong at the latest, as the question may have to wait for data before
	// it. QUIC gives up 30 seconds after its question.
	Pong time.Duration
}

// DefaultTimeouts returns the deadlines of a transport without WithTimeouts; those
// of TM2 where it has them (docs/wire.md §3, §5.4).
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Dial: 5 * time.Second, Handshake: 3 * time.Second, Assembly: 30 * time.Second,
		Flush: 5 * time.Second, Linger: time.Second,
		// Together the 105 s after which a native node notices (docs/wire.md §5.2).
		KeepAlive: 15 * time.Second, Pong: 45 * time.Second,
	}
}

// Validate names the first field that is not positive.
func (t Timeouts) Validate() error {
	return positive([]field{
		{"Dial", int64(t.Dial)}, {"Handshake", int64(t.Handshake)}, {"Assembly", int64(t.Assembly)},
		{"Flush", int64(t.Flush)}, {"Linger", int64(t.Linger)},
		{"KeepAlive", int64(t.KeepAlive)}, {"Pong", int64(t.Pong)},
	})
}

type field struct {
	name  string
	value int64
}

func positive(fields []field) error {
	for _, f := range fields {
		if f.value <= 0 {
			return fmt.Errorf("%s is not positive", f.name)
		}
	}

	return nil
}

// take reserves a slot for the remote of the connection and reports whether there
// was one. Each slot is given back once.
func (s *slots) take(c network.Conn) bool {
	ip, id := hostOf(c), c.RemotePeer()
	s.mtx.Lock()
	defer s.mtx.Unlock()

	if s.taken >= s.total || s.ips[ip] >= s.perIP || s.peers[id] >= s.perPeer {
		return false
	}
	s.taken++
	s.ips[ip]++
	s.peers[id]++

	return true
}

func (s *slots) giveBack(c network.Conn) {
	ip, id := hostOf(c), c.RemotePeer()
	s.mtx.Lock()
	defer s.mtx.Unlock()

	s.taken--
	decrement(s.ips, ip)
	decrement(s.peers, id)
}

const (
	// minIdle is how many connections without a session a node has at least room
	// for: for discovery, and for whoever asks or is refused.
	minIdle = 96
	// ipAllowance is how many connections beside those of peers may come from one
	// IP: crossed dials, questions, discovery, a few exempt peers.
	ipAllowance = 16
	// maxPeers bounds what is computed from a number of peers.
	maxPeers = 1 << 14
)

// PeerLimits derives the limits of a transport from those of its switch
// (adapter.WithMaxInboundPeers, WithMaxOutboundPeers and WithAllowDuplicateIP):
// places for all its peers, and for half as many connections without a session, at
// least 96, which a seed of a growing network needs. When duplicate IPs are allowed all inbound peers may come from one IP.
// When they are not, one IP may hold as many connections as this node may dial
// there, and 16: which of them becomes a peer is the switch's decision. A node with
// more persistent or unconditional peers behind one IP raises ConnectionsPerIP.
func PeerLimits(maxInbound, maxOutbound uint64, allowDuplicateIP bool) Limits {
	in, out := int(min(maxInbound, maxPeers)), int(min(maxOutbound, maxPeers))
	idle := max(minIdle, (in+out)/2)
	l := Limits{
		Handshakes:         max(64, min(8*(in+out), 1024)),
		HandshakesPerIP:    ipAllowance,
		SessionsPerPeer:    max(2, in), // those a bridge speaks for are inbound peers too
		Connections:        in + out + 4*idle,
		ConnectionsPerIP:   out + ipAllowance,
		ConnectionsInbound: in + 3*idle,
		ConnectionsHigh:    in + out + 2*idle,
		IdleConnections:    idle,
	}
	if allowDuplicateIP {
		l.HandshakesPerIP = max(ipAllowance, min(in, l.Handshakes))
		l.ConnectionsPerIP += in
	}
	l.HandshakesPerPeer = min(32, l.HandshakesPerIP)

	return l
}

// WithPeerLimits is WithLimits(PeerLimits(...)).
func WithPeerLimits(maxInbound, maxOutbound uint64, allowDuplicateIP bool) Option {
	return WithLimits(PeerLimits(maxInbound, maxOutbound, allowDuplicateIP))
}

// WithChannels tells which channels the switch has, from which the limits on
// streams and memory follow. Without it the transport reckons with
// compat.MaxChannels channels of the largest messages that a window can hold.
func WithChannels(descs ...*compat.ChannelDescriptor) Option {
	return func(o *options) { o.budget = channelBudget(descs) }
}

// budget is what one session may take up.
type budget struct {
	streams int   // of both directions, the control stream among them
	growth  int64 // bytes by which the windows of its inbound streams may grow
}

// channelBudget reckons with one stream for each channel and direction. The window
// of an inbound stream grows to hold one message, as far as windows grow.
func channelBudget(descs []*compat.ChannelDescriptor) budget {
	b := budget{streams: 1 + 2*len(descs)}
	for _, d := range descs {
		b.growth += int64(max(streamWindow, min(d.FillDefaults().RecvMessageCapacity, maxStreamWindow)) - streamWindow)
	}

	return b
}

// anyChannels is the budget for channels that are not known.
func anyChannels() budget {
	return budget{
		streams: 1 + 2*compat.MaxChannels,
		growth:  compat.MaxChannels * (maxStreamWindow - streamWindow),
	}
}
