package bridge

import (
	"cmp"
	"net"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// The sides from which a node can dial the bridge.
const (
	InitiatorNative = "native"
	InitiatorLibp2p = "libp2p"
)

// Status is a snapshot of a bridge; the caller owns it. Texts that remotes have chosen, such
// as monikers and reasons, are in it as they came: whoever shows them escapes them.
type Status struct {
	ID       types.ID  `json:"id"`
	Started  time.Time `json:"started"` // zero before Start
	Running  bool      `json:"running"`
	MaxPairs int       `json:"max_pairs"`
	// SlotsTaken are the nodes that have a pair or wait for one, without unconditional ones.
	SlotsTaken int `json:"slots_taken"`
	// Sides tell the same of the nodes that dial from each side: native, then libp2p.
	Sides []SideStatus `json:"sides"`
	// Pairs are the pairs that are up, oldest first.
	Pairs []PairStatus `json:"pairs"`
	// ToLibp2p and ToNative count over all pairs since the bridge started.
	ToLibp2p Traffic `json:"to_libp2p"`
	ToNative Traffic `json:"to_native"`
	// Waiting are the nodes that have dialed the bridge within WaitingAge and have got no
	// pair since, the latest first. There are at most 64.
	Waiting []WaitingStatus `json:"waiting"`
	// Flapping are the nodes whose pairs end again and again, the latest first. There are at
	// most 64.
	Flapping []FlappingStatus `json:"flapping"`
	// Targets are the nodes that the bridge may dial, those of the native side first.
	Targets []TargetStatus `json:"targets"`
	// Events are the latest events, oldest first: at most 128 of pairs, and as many of
	// refusals and failed dials.
	Events []Event `json:"events"`
	// Seen counts the nodes that have had a pair, or were refused one, within SeenAge.
	Seen SeenNodes `json:"seen"`
	// Tunnels are the tunnels of each node in Config.Tunnels (tunnel.Server.Status).
	Tunnels []tunnel.Status `json:"tunnels"`
	// Counters since the bridge started.
	Counters Counters `json:"counters"`
	// Blocked are the IDs and networks that get no pair.
	BlockedPeers []types.ID `json:"blocked_peers"`
	BlockedIPs   []string   `json:"blocked_ips"`
}

// SideStatus is the room for nodes that dial from one side.
type SideStatus struct {
	Initiator  string `json:"initiator"`
	SlotsTaken int    `json:"slots_taken"`
	MaxSlots   int    `json:"max_slots"` // less than MaxPairs if both sides may dial
}

// Traffic counts relayed messages and their payload bytes. A message counts while it waits
// for a place in the queue of the far side, and no longer if it gets none.
type Traffic struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// PairStatus is one coupled pair.
type PairStatus struct {
	NativeID  types.ID   `json:"native_id"` // the native node
	Libp2pID  types.ID   `json:"libp2p_id"` // the libp2p node
	Initiator string     `json:"initiator"` // InitiatorNative or InitiatorLibp2p
	Since     time.Time  `json:"since"`
	ToLibp2p  Traffic    `json:"to_libp2p"`
	ToNative  Traffic    `json:"to_native"`
	Native    PeerStatus `json:"native"`
	Libp2p    PeerStatus `json:"libp2p"`
}

// PeerStatus is one of the two connections of a pair, and the node at its end.
type PeerStatus struct {
	Moniker   string         `json:"moniker"`
	Network   string         `json:"network"`
	Version   string         `json:"version"`
	ShownAs   types.ID       `json:"shown_as"`          // its ID on the other side of the bridge
	Address   string         `json:"address"`           // IP:port of the remote end
	Stack     types.Stack    `json:"stack"`             //
	Dialect   compat.Dialect `json:"dialect,omitempty"` // of a native connection
	Transport string         `json:"transport"`         // "tcp" or "quic"
	// Queued are the messages that wait to be sent to the node.
	Queued int `json:"queued"`
	// SendRate and RecvRate are the recent rates in bytes a second, as the bridge sends to
	// and receives from the node.
	SendRate int64 `json:"send_rate"`
	RecvRate int64 `json:"recv_rate"`
	// Channels are the messages that wait, by channel.
	Channels []QueueStatus `json:"channels"`
}

// QueueStatus is the send queue of a channel.
type QueueStatus struct {
	Channel byte `json:"channel"`
	Queued  int  `json:"queued"`
}

// Status returns a snapshot. It may be called at any time. It asks each pair, and so costs a
// few microseconds for each.
func (b *Bridge) Status() Status {
	blocked := b.blocked()
	s := Status{
		ID: b.key.ID(), Running: b.IsRunning(), MaxPairs: b.config.MaxPairs,
		Pairs: []PairStatus{}, Targets: b.targetStatus(), BlockedPeers: append([]types.ID{}, blocked.ids...), BlockedIPs: []string{},
		ToLibp2p: b.toLibp2p.traffic(), ToNative: b.toNative.traffic(),
	}
	s.SlotsTaken, s.Sides = b.slots.usage()
	for _, network := range blocked.networks {
		s.BlockedIPs = append(s.BlockedIPs, network.String())
	}
	for _, p := range b.slots.live() {
		s.Pairs = append(s.Pairs, PairStatus{
			NativeID: p.native.peer.ID(), Libp2pID: p.libp2p.peer.ID(), Initiator: p.initiator, Since: p.since,
			ToLibp2p: p.libp2p.sent.traffic(), ToNative: p.native.sent.traffic(),
			Native: p.native.status(), Libp2p: p.libp2p.status(),
		})
	}
	slices.SortFunc(s.Pairs, func(a, b PairStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.NativeID, b.NativeID))
	})
	b.journal.fill(&s)
	s.Tunnels = []tunnel.Status{}
	if server := b.tunnels.Load(); server != nil {
		s.Tunnels = server.Status()
	}

	return s
}

// status describes the connection of a pair that is up.
func (s *side) status() PeerStatus {
	info, flow := s.peer.NodeInfo(), s.peer.Status()
	p := PeerStatus{
		Moniker: info.Moniker, Network: info.Network, Version: info.Version, ShownAs: s.other().self,
		Address: addressOf(s.peer.RemoteAddr()), Transport: transportOf(s.peer.RemoteAddr()),
		Stack:    types.Stack(s.name),
		SendRate: flow.SendMonitor.CurRate, RecvRate: flow.RecvMonitor.CurRate,
		Channels: make([]QueueStatus, 0, len(flow.Channels)),
	}
	if d, ok := s.peer.(compat.DialectReporter); ok {
		p.Dialect = d.Dialect()
	} else if n, ok := s.peer.(nativePeer); ok {
		if d, ok := n.PeerConn.(compat.DialectReporter); ok {
			p.Dialect = d.Dialect()
		}
	}
	for _, ch := range flow.Channels {
		p.Queued += ch.SendQueueSize
		p.Channels = append(p.Channels, QueueStatus{Channel: ch.ID, Queued: ch.SendQueueSize})
	}

	return p
}

// transportOf returns "quic" for the address of a QUIC connection, and else "tcp".
func transportOf(addr net.Addr) string {
	if addr != nil && addr.Network() == "udp" {
		return "quic"
	}

	return "tcp"
}

// addressOf returns the IP and port of an address, or nothing if there is none.
func addressOf(addr net.Addr) string {
	if addr == nil || !netgroup.FromAddr(addr).IsValid() {
		return ""
	}

	return addr.String()
}
