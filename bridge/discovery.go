package bridge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

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
	// askInterval is how often one of the libp2p nodes is asked for others, beside the
	// question to each when its pair begins; responseTimeout is how long it may take to
	// answer.
	askInterval     = 30 * time.Second
	responseTimeout = 30 * time.Second
)

var errDiscoverySize = errors.New("discovery message too large")

// discoveryState is what the bridge knows of the discovery on one connection.
type discoveryState struct {
	requests   *rate.Limiter
	complained bool         // an offence was logged; only Receive uses it
	asked      atomic.Int64 // when the bridge has asked, in Unix nanoseconds; 0 without a question
}

// receiveDiscovery answers a request with peers of the side that asks, and learns
// from an answer. What cannot be decoded is dropped, as TM2 does.
func (s *side) receiveDiscovery(msg []byte) {
	if len(msg) > maxDiscoverySize {
		s.complain(fmt.Errorf("%w: %d bytes", errDiscoverySize, len(msg)))

		return
	}
	addrs, request, err := wire.DecodeDiscovery(msg)
	switch {
	case err != nil:
		s.complain(err)
	case request && s.discovery.requests.Allow():
		s.answer()
	case !request && s.wasAsked():
		s.pair.bridge.learnHints(s.peer, addrs)
	}
}

// complain logs the first offence of a connection.
func (s *side) complain(err error) {
	if s.discovery.complained {
		return
	}
	s.discovery.complained = true
	s.pair.bridge.logger.Warn("discovery message dropped, further ones of the peer are not logged",
		"peer", s.peer.ID(), "channel", discoveryChannel, "err", err)
}

func (s *side) answer() {
	addrs := s.shareable()
	if len(addrs) == 0 {
		return
	}
	// The requester asks again, so an answer that finds no place in the queue is lost.
	s.peer.TrySend(discoveryChannel, wire.AppendResponse(nil, addrs))
}

// ask asks the node for others of its side, for the bridge itself: the answer goes to
// nobody. A node without discovery is not asked, nor is any if nobody is to be learned.
func (s *side) ask() {
	if s.pair.bridge.config.OnlyConfigured {
		return
	}
	s.discovery.asked.Store(time.Now().UnixNano())
	if !s.peer.TrySend(discoveryChannel, wire.AppendRequest(nil)) {
		s.discovery.asked.Store(0)
	}
}

// wasAsked reports whether an answer is due. Each question has one.
func (s *side) wasAsked() bool {
	asked := s.discovery.asked.Swap(0)

	return asked != 0 && time.Since(time.Unix(0, asked)) <= responseTimeout
}

// askLoop asks one libp2p node after the other until the bridge stops.
func (b *Bridge) askLoop() {
	for task.Sleep(b.ctx, askInterval) {
		if pairs := b.livePairs(); len(pairs) > 0 {
			pairs[rand.IntN(len(pairs))].libp2p.ask()
		}
	}
}

// shareable is a random selection of the addresses known on this side, without
// the requester and without what nobody could dial or should know.
func (s *side) shareable() []string {
	from := remoteIP(s.peer)
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

	return addrs[:min(len(addrs), maxDiscoveryPeers)]
}

// knownNative are the native nodes the bridge knows: its configured ones and
// those that are connected.
func (b *Bridge) knownNative() []*types.NetAddress {
	return b.known(b.nativeTargets, func(p *pair) *side { return p.native })
}

// knownLibp2p are the libp2p nodes of which others are told: what nobody has proved
// is not passed on.
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
