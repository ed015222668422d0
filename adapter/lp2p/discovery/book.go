package discovery

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// maxKnown bounds the peers in the book. A round of lookups in a network of
	// thousands names some hundred.
	maxKnown = 2048
	// maxPerAddr is how many peers may claim one IP and port. Where more do, somebody
	// wants to have an address flooded with connection attempts.
	maxPerAddr = 3

	hintTTL     = 10 * time.Minute // how long what others say is believed
	deadTTL     = time.Minute      // how long addresses are left alone where the peer was not
	verifiedTTL = 30 * time.Minute // how long a peer that has answered counts as alive
	refusedTTL  = time.Hour        // how long a peer of another network is left alone

	sweepWait = 10 * time.Second // between two searches for hints that are too old

	// Before a peer is hinted again: the switch may have dropped the hint, without a
	// word, for want of a slot that is open now. With each failure the wait doubles.
	hintWait    = 5 * time.Second
	failWait    = 10 * time.Second
	maxFailWait = 30 * time.Minute
)

// known is what the book has about a peer.
type known struct {
	touched time.Time

	hints      []hint // where others say that it is
	hintsUntil time.Time

	verified   time.Time      // when it last answered a query
	verifiedAt netip.AddrPort // where, if this node had dialed it; else not valid

	hintable time.Time // the switch gets no hint before
	failures int       // of such hints in a row

	refused time.Time // not wanted until
}

// hint is an address that others have told.
type hint struct {
	addr      multiaddr.Multiaddr
	deadUntil time.Time // the peer was not there
}

// book keeps what the DHT has told about peers, and what came of it. Nobody can
// fill it with more than maxKnown peers, nor displace those that have answered, or
// were refused, by others that did neither.
type book struct {
	mtx    sync.Mutex
	peers  map[peer.ID]*known
	byAddr map[netip.AddrPort]int // peers whose hints name it
	swept  time.Time
	filter addrFilter
}

func newBook(filter addrFilter) *book {
	return &book{
		peers: make(map[peer.ID]*known), byAddr: make(map[netip.AddrPort]int), filter: filter,
	}
}

// sweep forgets hints that are too old to be believed. The caller holds the lock.
func (b *book) sweep(now time.Time) {
	if now.Sub(b.swept) < sweepWait {
		return
	}
	b.swept = now
	for _, k := range b.peers {
		if !now.Before(k.hintsUntil) {
			b.setHints(k, nil)
		}
	}
}

// at returns the entry of the peer, a new one if there is none. The caller holds
// the lock.
func (b *book) at(p peer.ID, now time.Time) *known {
	k := b.peers[p]
	if k == nil {
		if len(b.peers) >= maxKnown {
			b.evict(now)
		}
		k = &known{}
		b.peers[p] = k
	}
	k.touched = now

	return k
}

// worth orders what is kept: hints, then peers that have answered, then refusals.
func (k *known) worth(now time.Time) int {
	switch {
	case k.refused.After(now):
		return 2
	case k.alive(now):
		return 1
	default:
		return 0
	}
}

func (k *known) alive(now time.Time) bool { return now.Sub(k.verified) < verifiedTTL }

// evict makes room: of those that are least worth, the oldest go, an eighth of the
// book at a time, since finding them takes a look at all. The caller holds the lock.
func (b *book) evict(now time.Time) {
	var least []peer.ID
	worth := math.MaxInt
	for p, k := range b.peers {
		switch w := k.worth(now); {
		case w < worth:
			worth, least = w, append(least[:0], p)
		case w == worth:
			least = append(least, p)
		}
	}
	slices.SortFunc(least, func(a, c peer.ID) int { return b.peers[a].touched.Compare(b.peers[c].touched) })
	for _, p := range least[:min(len(least), maxKnown/8)] {
		b.setHints(b.peers[p], nil)
		delete(b.peers, p)
	}
}

// setHints replaces the hints of an entry by those whose address is not claimed by
// too many already.
func (b *book) setHints(k *known, hints []hint) {
	for _, h := range k.hints {
		at, _ := b.filter.parse(h.addr)
		if b.byAddr[at]--; b.byAddr[at] <= 0 {
			delete(b.byAddr, at)
		}
	}
	k.hints = nil
	for _, h := range hints {
		at, ok := b.filter.parse(h.addr)
		if !ok || b.byAddr[at] >= maxPerAddr || len(k.hints) >= maxAddrs {
			continue
		}
		b.byAddr[at]++
		k.hints = append(k.hints, h)
	}
}

// hint notes where others say that the peer is. The newest word counts: what it
// says, then the rest as long as there is room.
func (b *book) hint(p peer.ID, addrs []multiaddr.Multiaddr, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.sweep(now)
	k := b.at(p, now)
	var merged, rest []hint
	for _, a := range addrs {
		merged = append(merged, hint{addr: a})
	}
	for _, old := range k.hints {
		i := slices.IndexFunc(merged, func(h hint) bool { return h.addr.Equal(old.addr) })
		switch {
		case i >= 0:
			merged[i] = old
		case now.Before(k.hintsUntil):
			rest = append(rest, old)
		}
	}
	b.setHints(k, append(merged, rest...))
	k.hintsUntil = now.Add(hintTTL)
}

// hints returns where others say that the peer is, without the addresses at which
// it was not found.
func (b *book) hints(p peer.ID, now time.Time) (addrs []multiaddr.Multiaddr) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]
	if k == nil || !now.Before(k.hintsUntil) {
		return nil
	}
	for _, h := range k.hints {
		if !now.Before(h.deadUntil) {
			addrs = append(addrs, h.addr)
		}
	}

	return addrs
}

// absent notes that the peer was not found where others say. The addresses stay
// counted as its own: otherwise each made-up ID that fails would make room for the
// next.
func (b *book) absent(p peer.ID, at []multiaddr.Multiaddr, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]
	if k == nil {
		return
	}
	for i := range k.hints {
		if multiaddr.Contains(at, k.hints[i].addr) {
			k.hints[i].deadUntil = now.Add(deadTTL)
		}
	}
}

// answered notes that the peer has answered a query, and where this node had
// dialed it, if so.
func (b *book) answered(p peer.ID, at netip.AddrPort, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	k.verified = now
	if at.IsValid() {
		k.verifiedAt = at
	}
}

// verifiedAt returns where the peer was found, not valid if it was not.
func (b *book) verifiedAt(p peer.ID) netip.AddrPort {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if k := b.peers[p]; k != nil {
		return k.verifiedAt
	}

	return netip.AddrPort{}
}

// alive returns the peers that have answered of late and may be hinted now.
func (b *book) alive(now time.Time) (peers []peer.ID) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	for p, k := range b.peers {
		if k.alive(now) && !k.refused.After(now) && !k.hintable.After(now) {
			peers = append(peers, p)
		}
	}

	return peers
}

// isAlive reports whether the peer has answered of late.
func (b *book) isAlive(p peer.ID, now time.Time) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]

	return k != nil && k.alive(now)
}

// hinted notes that the switch was told of the peer.
func (b *book) hinted(p peer.ID, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.at(p, now).hintable = now.Add(hintWait)
}

// failed notes that the dial of a hint has come to nothing. A peer that was not
// found where it had answered has to answer again before it is hinted.
func (b *book) failed(p peer.ID, gone bool, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	k.failures++
	k.hintable = now.Add(min(maxFailWait, failWait<<min(k.failures-1, 10)))
	if gone {
		k.verified, k.verifiedAt = time.Time{}, netip.AddrPort{}
	}
}

// connected notes that the peer has become one of the switch.
func (b *book) connected(p peer.ID, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	k.failures, k.hintable, k.refused = 0, time.Time{}, time.Time{}
}

// refuse notes that the peer is not of this network.
func (b *book) refuse(p peer.ID, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	k.refused = now.Add(refusedTTL)
	b.setHints(k, nil)
	k.verified, k.verifiedAt = time.Time{}, netip.AddrPort{}
}

// isRefused reports whether the peer was found not to be of this network.
func (b *book) isRefused(p peer.ID, now time.Time) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]

	return k != nil && k.refused.After(now)
}

// size is the number of peers, and of those that are refused.
func (b *book) size(now time.Time) (all, refused int) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	for _, k := range b.peers {
		if k.refused.After(now) {
			refused++
		}
	}

	return len(b.peers), refused
}
