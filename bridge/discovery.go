package bridge

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// maxDiscoveryPeers is how many addresses one answer may have (docs/wire.md §6),
	// maxDiscoverySize what they need at most (docs/discovery.md).
	maxDiscoveryPeers = 30
	maxDiscoverySize  = 2718
	// A node may ask requestBurst times at once and then once in requestInterval, as
	// in docs/discovery.md.
	requestInterval = time.Second
	requestBurst    = 3
	// askInterval is how often one of the libp2p nodes is asked for addresses; each is
	// also asked when its pair begins. An answer counts within responseTimeout.
	askInterval     = 30 * time.Second
	responseTimeout = 30 * time.Second
)

// receiveDiscovery answers a request with peers of the side that asks, and learns
// from an answer. Invalid messages are dropped, as TM2 does.
func (s *side) receiveDiscovery(msg []byte) {
	var addrs []string
	var request bool
	err := fmt.Errorf("%d bytes, at most %d are allowed", len(msg), maxDiscoverySize)
	if len(msg) <= maxDiscoverySize {
		addrs, request, err = wire.DecodeDiscovery(msg)
	}
	switch {
	case err != nil:
		s.complain.Do(func() {
			s.pair.bridge.refused.Event(slog.LevelWarn, netgroup.FromIP(s.peer.RemoteIP()),
				"discovery message dropped, further ones of the peer are not logged", s.name, "peer", s.peer.ID(), "channel", discoveryChannel, "err", err)
		})
	case request && s.requests.Allow():
		s.answer()
	case !request && s.wasAsked():
		s.pair.bridge.learnHints(s.peer, addrs)
	}
}

// ask asks the node for addresses of its side, for the bridge's own use. TrySend fails
// for a node without discovery.
func (s *side) ask() {
	if s.pair.bridge.config.OnlyConfigured {
		return
	}
	s.asked.Store(time.Now().UnixNano())
	if !s.peer.TrySend(discoveryChannel, wire.AppendRequest(nil)) {
		s.asked.Store(0)
	}
}

// wasAsked reports whether an answer is due. Each question gets one.
func (s *side) wasAsked() bool {
	asked := s.asked.Swap(0)

	return asked != 0 && time.Since(time.Unix(0, asked)) <= responseTimeout
}

// askLoop asks a random libp2p node every askInterval until the bridge stops.
func (b *Bridge) askLoop() {
	for task.Sleep(b.ctx, askInterval) {
		if pairs := b.slots.live(); len(pairs) > 0 {
			pairs[rand.IntN(len(pairs))].libp2p.ask()
		}
	}
}

// answer sends a random selection of the addresses that are known on this side, without
// those of the requester and of private peers, and those it could not dial.
func (s *side) answer() {
	from := netgroup.FromIP(s.peer.RemoteIP())
	seen := map[types.ID]bool{s.peer.ID(): true, s.self: true}
	var addrs []string
	for _, addr := range s.known() {
		if seen[addr.ID] || s.IsPrivatePeer(addr.ID) || !addr.Dialable() ||
			!netgroup.MayTell(netgroup.FromIP(addr.IP), from) {
			continue
		}
		seen[addr.ID] = true
		addrs = append(addrs, addr.String())
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	if addrs = addrs[:min(len(addrs), maxDiscoveryPeers)]; len(addrs) > 0 {
		// The requester asks again, so an answer may be lost when the queue is full.
		s.peer.TrySend(discoveryChannel, wire.AppendResponse(nil, addrs))
	}
}

// known returns the configured nodes of this side and those that have a pair. Hints are
// not passed on.
func (s *side) known() []*types.NetAddress {
	addrs := s.targets.open()
	for _, p := range s.pair.bridge.slots.live() {
		for _, connected := range []*side{p.native, p.libp2p} {
			if connected.name == s.name {
				addrs = append(addrs, connected.peer.NodeInfo().NetAddress)
			}
		}
	}

	return addrs
}
