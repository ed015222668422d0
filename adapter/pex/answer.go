package pex

import (
	"math/rand/v2"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// selection returns what a peer that asks is told: at most 30 addresses at random, of
// connected peers first, then of former peers.
func (r *Reactor) selection(asker compat.PeerConn) []string {
	peers := r.Switch.Peers().List()
	told := map[types.ID]bool{asker.ID(): true}
	addrs := make([]*types.NetAddress, 0, len(peers))
	for _, peer := range peers {
		if told[peer.ID()] {
			continue
		}
		// A connected peer speaks for itself: what the book knows of it is not
		// told either.
		told[peer.ID()] = true
		addr := advertised(peer)
		if peer.IsPrivate() || addr == nil || !r.mayTell(addr, asker) {
			continue
		}
		addrs = append(addrs, addr)
	}
	shuffle(addrs)
	if len(addrs) < maxAddresses {
		addrs = append(addrs, r.remembered(asker, told)...)
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}

	return texts
}

// remembered are the addresses of the book that may be told, one for each peer
// not yet told, in random order.
func (r *Reactor) remembered(asker compat.PeerConn, told map[types.ID]bool) []*types.NetAddress {
	var addrs []*types.NetAddress
	for _, addr := range r.book.Shareable() {
		if told[addr.ID] || !r.mayTell(addr, asker) {
			continue
		}
		told[addr.ID] = true
		addrs = append(addrs, addr)
	}
	shuffle(addrs)

	return addrs
}

func shuffle(addrs []*types.NetAddress) {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
}
