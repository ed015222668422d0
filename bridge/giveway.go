package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/crowd"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// The first nodes to come must not hold the slots for ever. When none is left for a newcomer, a node
// in a more crowded network gives way, by the rule of the switch (package crowd). Pairs that are being
// made give way too, since a node can have one in the making at all times.
//
// To be known takes one pair of a minute, which costs an attacker nothing. So known nodes stay only as
// long as a stranger of the same network can go in their place.

var (
	errCrowded = errors.New("all pairs are taken, and a node of a less crowded network takes the place of this one ([bridge].max_pairs)")
	// errGaveWay ends the pair of a node that gives way.
	errGaveWay = compat.Reject(compat.RejectFull, "%v", errCrowded)
	// errVain is the reason for letting nobody give way to a network.
	errVain = errors.New("its nodes took the places of others and left at once")
)

// networks returns the networks around the host of the node, the widest first.
func (s *slot) networks() crowd.Networks { return netgroup.Around(s.host.Addr()) }

// isKnown reports whether the node was known when it came, or has a pair that has lasted a minute.
func (s *slot) isKnown() bool {
	first := s.pairs[0]

	return !first.stranger || first.isUp() && time.Since(first.since) >= conduct.UsefulUptime
}

// findLoser returns the slot of the node that gives way to the newcomer, or nil (crowd.Crowd.Loser). Only
// nodes that may go are chosen. Exempt nodes neither go nor count, nor do nodes on a local network: a bridge
// may be there to join all of them to the public. One node gives way at a time, so that
// there is no more than one pair too many. The caller holds mtx.
func (s *slots) findLoser(newcomer *slot, mayGo func(claim) bool) *slot {
	to := newcomer.networks()
	if s.leaving != nil || !newcomer.host.IsValid() || s.conduct.Refusal("", to[0]) != nil {
		return nil
	}
	var nodes crowd.Crowd[*slot]
	exempt := s.exempt()
	for node, held := range s.held {
		if !held.counted || !held.host.IsValid() || netgroup.IsLocal(held.host.Addr()) || exempt[node.id] {
			continue
		}
		nodes.Count(held.networks())
		if mayGo(node) {
			nodes.Add(crowd.Resident[*slot]{Holder: held, Since: held.pairs[0].since, Networks: held.networks(), Known: held.isKnown()})
		}
	}

	return nodes.Loser(to, uint64(s.total/crowd.Protected), 2)
}

// exemptPeers returns the nodes that gatekeeper.IsExemptPeer names, all at once: whoever dials a full
// bridge has each of its nodes looked up.
func (b *Bridge) exemptPeers() map[types.ID]bool {
	exempt := make(map[types.ID]bool)
	for _, id := range b.config.UnconditionalPeers {
		exempt[id] = true
	}
	for _, addr := range b.configuredPeers() {
		exempt[addr.ID] = true
	}

	return exempt
}

// giveWay gives the slot of one node to another at once, and ends the pairs of the former. The caller
// holds mtx.
func (s *slots) giveWay(from, to *slot) {
	from.counted, s.leaving, to.tookOver = false, from, time.Now()
	for _, p := range from.pairs {
		p.end(nil, errGaveWay)
	}
}

// settle notes that the last pair of a node has ended. A node that another one has given way to, and
// that got no pair or soon has none, has taken the slot in vain: its network is charged, unless the
// bridge itself has ended the pair. The caller holds mtx.
func (s *slots) settle(held *slot, end *ending) {
	close(held.gone)
	if s.leaving == held {
		s.leaving = nil
	}
	own := []error{errGaveWay, errMoves, errBlockedPair}
	if held.tookOver.IsZero() || time.Since(held.tookOver) >= conduct.UsefulUptime || slices.Contains(own, end.error) {
		return
	}
	s.conduct.Charge("", held.networks()[0], conduct.FlapPoints, errVain)
}

// canJoin reports whether some target may be dialed for the node.
func (p *pair) canJoin() bool {
	return slices.ContainsFunc(p.dialed.targets.all(p.dialer()), func(t *target) bool { return t.barred == nil })
}

// hasGivenWay reports whether the pair has ended because its node gave way.
func (p *pair) hasGivenWay() bool { return p.ctx.Err() != nil && p.ending().error == errGaveWay }

// awaitRoom waits until nothing is left of the node that has given way to this one, so that its target
// can take this one, for loserTimeout at most.
func (p *pair) awaitRoom(ctx context.Context) {
	if p.room == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, loserTimeout)
	defer cancel()
	select {
	case <-p.room:
	case <-ctx.Done():
	}
}
