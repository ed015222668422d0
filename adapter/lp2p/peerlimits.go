package lp2p

import "github.com/tm2-libp2p/tm2-libp2p/compat"

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
	return func(o *options) error {
		o.budget = channelBudget(descs)

		return nil
	}
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
