package lp2p

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Limits of one session that are part of the protocol (docs/sessions.md §8).
const (
	maxSendBytes    = 20 << 20 // messages that are accepted and not yet written
	maxPartialBytes = 20 << 20 // arrived bytes of large messages that no reactor has received yet
)

// Limits bounds what remotes may use before the switch decides about them.
type Limits struct {
	// Handshakes, HandshakesPerIP and HandshakesPerPeer bound the inbound handshakes
	// that run at a time. IPv6 addresses count by their /64. When as many run as may in all,
	// or from the IP, a new one takes the place of one in the most crowded network, by the
	// rule of Connections. Persistent and unconditional peers have as many places again,
	// apart. The limits on streams follow. A peer may begin 64 handshakes a second, or
	// SessionsPerPeer if that is more, and twice as many at once.
	Handshakes, HandshakesPerIP, HandshakesPerPeer int
	// SessionsPerPeer bounds the inbound sessions, pending or active, of one
	// libp2p peer; only a bridge has more than one or two.
	SessionsPerPeer int
	// Connections and ConnectionsPerIP bound the libp2p connections of both
	// directions. The limit per IP does not apply to loopback addresses, nor to inbound
	// connections of persistent and unconditional peers (compat.PeerExemption).
	//
	// Inbound TCP connections whose remotes have not proved an ID do not count. Besides,
	// there are places for half as many of them as Connections, at least 16 and at most
	// 256, and for 64 from IPs of configured peers (compat.ConnReservation). When all are
	// taken, a new one takes the place of one in the most crowded network: of a silent one
	// if there is any, and of the oldest of these. IPv4 /16, /24 and single addresses count
	// as networks, and IPv6 /32, /48 and /64.
	//
	// Inbound QUIC connections have as many places of their own until their remotes have
	// proved an ID, a quarter of which one host may have, or 16. When they are taken, further
	// ones are refused.
	Connections, ConnectionsPerIP int
	// ConnectionsInbound bounds the connections that remotes have opened, so that some
	// are left for ours. Zero stands for seven eighths of Connections. When there are as many,
	// a new one takes the place of one without a session, of the most crowded network if that
	// is no less crowded than the new one's. Those of persistent and unconditional peers take
	// the place of any, and never give way. Nor does one on which a Hello waits for its answer.
	ConnectionsInbound int
	// When there are more than ConnectionsHigh connections, those without a session are
	// closed until IdleConnections of them are left; those with one are kept. Zeros
	// stand for three quarters and an eighth of Connections.
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

// filled replaces the zeros that stand for defaults.
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

// Validate names the first field that is not positive, or that exceeds another one that
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
	// Dial bounds the connection attempt, a probe, and the libp2p upgrade. All addresses
	// of a host name share it.
	Dial time.Duration
	// Handshake bounds the session handshake, from the open connection to the
	// answer, and the header of a data stream; also how long an inbound TCP connection may
	// take to send its PROXY header, and again to begin to speak. With WithOtherStack it
	// has to begin within SniffTimeout if that is shorter.
	Handshake time.Duration
	// Assembly bounds the arrival of a message from its first byte to its last.
	Assembly time.Duration
	// Flush bounds FlushStop, and how long a session that the remote ends waits until
	// its reactors have received what the remote has announced.
	Flush time.Duration
	// Linger bounds each of the two last steps of a session: writing the goodbye, and
	// waiting until the remote has noticed it.
	Linger time.Duration
	// KeepAlive is how long a TCP connection may be silent before the remote is pinged, at
	// most: each connection takes a random time of at least three quarters of it. QUIC pings
	// after 15 seconds, whatever this says.
	KeepAlive time.Duration
	// Pong bounds how long the remote may take to answer a ping, and how long a TCP
	// connection may accept no data; yamux may give up after half of that. A busy
	// remote answers: messages wait in the windows of their streams. A remote that is
	// gone is noticed after KeepAlive and twice Pong at the latest, since a ping waits
	// for the data before it. QUIC gives up 30 seconds after its ping.
	Pong time.Duration
}

// DefaultTimeouts returns the deadlines of a transport without WithTimeouts: TM2's where
// there are any (docs/wire.md §3, §5.4).
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Dial: 5 * time.Second, Handshake: 3 * time.Second, Assembly: 30 * time.Second,
		Flush: 5 * time.Second, Linger: time.Second,
		// Together the 105 s after which a native node notices (docs/wire.md §5.2).
		KeepAlive: 20 * time.Second, Pong: 42500 * time.Millisecond,
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

const (
	// minIdle is the least room for connections without a session: of discovery, of
	// requests for the NodeInfo, and of refused peers.
	minIdle = 96
	// ipAllowance is how many connections without a peer may come from one IP.
	ipAllowance = 16
	// maxPeers is the largest number of peers for which limits are computed.
	maxPeers = 1 << 14
)

// PeerLimits derives the limits of a transport from those of its switch
// (adapter.WithMaxInboundPeers, WithMaxOutboundPeers and WithAllowDuplicateIP). There is
// room for all peers, and for half as many connections without a session, at least 96,
// which a seed of a growing network needs.
//
// When duplicate IPs are allowed, all inbound peers may come from one IP. Otherwise one IP
// may have 16 connections, and those that this node dials there; the switch decides which
// of them becomes a peer. A node that dials more persistent peers behind one IP raises
// ConnectionsPerIP.
func PeerLimits(maxInbound, maxOutbound uint64, allowDuplicateIP bool) Limits {
	in, out := int(min(maxInbound, maxPeers)), int(min(maxOutbound, maxPeers))
	idle := max(minIdle, (in+out)/2)
	l := Limits{
		Handshakes:         max(64, min(8*(in+out), 1024)),
		HandshakesPerIP:    ipAllowance,
		SessionsPerPeer:    max(2, in), // all may be of one bridge
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

// WithChannels names the switch's channels, from which the limits on streams and memory
// follow. Without it they are those of compat.MaxChannels channels of the largest messages
// that a window can hold.
func WithChannels(descs ...*compat.ChannelDescriptor) Option {
	return func(o *options) { o.budget = channelBudget(descs) }
}

// budget is what one session may use.
type budget struct {
	streams int   // of both directions, the control stream among them
	growth  int64 // bytes by which the windows of its inbound streams may grow, at most maxGrowth
}

func streamsFor(channels int) int { return 1 + 2*channels }

// channelBudget is for one stream per channel and direction. The window of an inbound
// stream grows up to maxStreamWindow to hold one message.
func channelBudget(descs []*compat.ChannelDescriptor) budget {
	b := budget{streams: streamsFor(len(descs))}
	for _, d := range descs {
		b.growth += int64(max(streamWindow, min(d.FillDefaults().RecvMessageCapacity, maxStreamWindow)) - streamWindow)
	}
	b.growth = min(b.growth, maxGrowth)

	return b
}

// anyChannels is the budget without WithChannels.
func anyChannels() budget {
	return budget{
		streams: streamsFor(compat.MaxChannels),
		growth:  min(compat.MaxChannels*(maxStreamWindow-streamWindow), maxGrowth),
	}
}
