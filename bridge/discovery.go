package bridge

import (
	"math/rand/v2"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// maxDiscoveryPeers is how many addresses one answer may have (docs/wire.md §6).
const maxDiscoveryPeers = 30

// answerDiscovery answers a request with peers of the side that asks. The bridge
// never asks, so responses are dropped; so is what cannot be decoded, as TM2 does.
func (s *side) answerDiscovery(msg []byte) {
	_, request, err := wire.DecodeDiscovery(msg)
	if err != nil {
		s.pair.bridge.logger.Warn("discovery message dropped", "peer", s.peer.ID(), "channel", discoveryChannel, "err", err)

		return
	}
	if !request {
		return
	}
	addrs := s.shareable()
	if len(addrs) == 0 {
		return
	}
	// The requester asks again, so an answer that finds no place in the queue is lost.
	s.peer.TrySend(discoveryChannel, wire.AppendResponse(nil, addrs))
}

// shareable is a random selection of the addresses known on this side, without
// the requester and without what nobody could dial or should know.
func (s *side) shareable() []string {
	seen := map[types.ID]bool{s.peer.ID(): true, s.self: true}
	var addrs []string
	for _, addr := range s.known() {
		if seen[addr.ID] || s.IsPrivatePeer(addr.ID) || addr.IP == nil || addr.IP.IsUnspecified() || addr.Port == 0 {
			continue
		}
		seen[addr.ID] = true
		addrs = append(addrs, addr.String())
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })

	return addrs[:min(len(addrs), maxDiscoveryPeers)]
}

// knownLegacy are the native nodes the bridge knows: its configured ones and
// those that are connected.
func (b *Bridge) knownLegacy() []*types.NetAddress {
	return b.known(b.legacyTargets, func(p *pair) *side { return p.legacy })
}

// knownLibp2p are the libp2p nodes the bridge knows.
func (b *Bridge) knownLibp2p() []*types.NetAddress {
	return b.known(b.libp2pTargets, func(p *pair) *side { return p.libp2p })
}

func (b *Bridge) known(configured *targets, of func(*pair) *side) []*types.NetAddress {
	addrs := configured.addresses()
	for _, p := range b.livePairs() {
		addrs = append(addrs, of(p).peer.NodeInfo().NetAddress)
	}

	return addrs
}
