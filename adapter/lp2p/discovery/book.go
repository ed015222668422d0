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
	// maxRefused bounds those of them that are refused: they must not displace those
	// that have answered.
	maxRefused = maxKnown / 4
	// maxTold is how many addresses one answer may add to a peer's: who tells many
	// must not displace what others told.
	maxTold = maxAddrs / 2

	hintTTL     = 10 * time.Minute // how long what others say is believed
	deadTTL     = time.Minute      // how long addresses are left alone where the peer was not
	verifiedTTL = 30 * time.Minute // how long a peer that has answered counts as alive
	refusedTTL  = time.Hour        // how long a peer of another network is left alone
	strangeTTL  = 2 * time.Minute  // how long one of no network is, which may just be closing

	confirmedTTL = time.Hour // how long a peer of this network is not asked for its network again

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

	hintedAt netip.AddrPort // where the switch was told that it is
	hintable time.Time      // the switch gets no hint before
	failures int            // of such hints in a row

	ours    time.Time // when it was found to be of this network
	asked   time.Time // when it was last asked for that
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
	places places
	swept  time.Time
	filter addrFilter
}

func newBook(filter addrFilter) *book {
	return &book{peers: make(map[peer.ID]*known), places: make(places), filter: filter}
}

// sweep forgets hints that are too old to be believed. The caller holds the lock.
func (b *book) sweep(now time.Time) {
	if now.Sub(b.swept) < sweepWait {
		return
	}
	b.swept = now
	for _, k := range b.peers {
		if !now.Before(k.hintsUntil) {
			k.hints = nil
		}
	}
	b.places.sweep(now)
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
		delete(b.peers, p)
	}
}

// hint notes where others say that the peer is: what the newest word says, maxTold
// at most, then what was told before, as long as there is room. An address where the
// peer was not found goes first, however often it is told.
func (b *book) hint(p peer.ID, addrs []multiaddr.Multiaddr, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.sweep(now)
	k := b.at(p, now)
	before := k.hints
	if !now.Before(k.hintsUntil) {
		before = nil
	}
	var live, dead []hint
	seen := make(map[string]bool)
	keep := func(h hint) {
		_, ok := b.filter.parse(h.addr)
		key := string(h.addr.Bytes())
		switch {
		case !ok || seen[key]:
			return
		case now.Before(h.deadUntil):
			dead = append(dead, h)
		default:
			live = append(live, h)
		}
		seen[key] = true
	}
	for _, a := range addrs {
		if len(seen) == maxTold {
			break
		}
		h := hint{addr: a}
		if i := slices.IndexFunc(before, func(old hint) bool { return old.addr.Equal(a) }); i >= 0 {
			h = before[i]
		}
		keep(h)
	}
	for _, old := range before {
		keep(old)
	}
	k.hints = append(live, dead...)
	k.hints = k.hints[:min(len(k.hints), maxAddrs)]
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

// try returns the hints of a peer that is dialed now, and counts the attempts: few
// peers are tried at one address, and only its owner once that is known.
func (b *book) try(p peer.ID, now time.Time) []multiaddr.Multiaddr {
	addrs := b.hints(p, now)
	b.mtx.Lock()
	defer b.mtx.Unlock()
	tried := make(map[netip.AddrPort]bool) // TCP and QUIC at one port are one place

	return slices.DeleteFunc(addrs, func(a multiaddr.Multiaddr) bool {
		at, ok := b.filter.parse(a)
		may, known := tried[at]
		if ok && !known {
			may = b.places.try(at, p, now)
			tried[at] = may
		}

		return !may
	})
}

// mayTry reports whether the switch may be told that the peer is at the address,
// where this node has not found it yet, and counts the attempt.
func (b *book) mayTry(p peer.ID, at netip.AddrPort, now time.Time) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.places.try(at, p, now)
}

// found notes who has proved to be at the address.
func (b *book) found(at netip.AddrPort, owner peer.ID, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.places.found(at, owner, now)
}

// absent notes that the peer was not found where others say.
func (b *book) absent(p peer.ID, at []multiaddr.Multiaddr, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]
	if k == nil {
		return
	}
	for i := range k.hints {
		if !multiaddr.Contains(at, k.hints[i].addr) {
			continue
		}
		k.hints[i].deadUntil = now.Add(deadTTL)
		if place, ok := b.filter.parse(k.hints[i].addr); ok {
			b.places.lost(place, p)
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

// hinted notes that the switch was told where the peer is.
func (b *book) hinted(p peer.ID, at netip.AddrPort, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	k.hintedAt, k.hintable = at, now.Add(hintWait)
}

// failed notes that the dial of a hint has come to nothing. A peer that was not
// found where it had answered has to answer again before it is hinted. Dials at other
// addresses, which others may have told the switch, say nothing.
func (b *book) failed(p peer.ID, at netip.AddrPort, gone bool, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	if at != k.hintedAt && at != k.verifiedAt {
		return
	}
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
	k.ours = now
}

// beginCheck reports whether the peer may be asked for its network now, and notes
// that it is.
func (b *book) beginCheck(p peer.ID, now time.Time) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.at(p, now)
	if now.Sub(k.asked) < walkTimeout {
		return false
	}
	k.asked = now

	return true
}

// confirm notes that the peer says that it is of this network.
func (b *book) confirm(p peer.ID, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.at(p, now).ours = now
}

// isOurs reports whether the peer was found to be of this network within confirmedTTL.
func (b *book) isOurs(p peer.ID, now time.Time) bool {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	k := b.peers[p]

	return k != nil && now.Sub(k.ours) < confirmedTTL
}

// refuse notes that the peer is not of this network, and not wanted for a time.
func (b *book) refuse(p peer.ID, ttl time.Duration, now time.Time) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	b.limitRefused(now)
	k := b.at(p, now)
	k.refused, k.ours, k.asked = now.Add(ttl), time.Time{}, time.Time{}
	k.hints = nil
	k.verified, k.verifiedAt = time.Time{}, netip.AddrPort{}
}

// limitRefused forgets the oldest refusal if there are maxRefused. The caller holds
// the lock.
func (b *book) limitRefused(now time.Time) {
	var oldest *known
	count := 0
	for _, k := range b.peers {
		if !k.refused.After(now) {
			continue
		}
		count++
		if oldest == nil || k.refused.Before(oldest.refused) {
			oldest = k
		}
	}
	if count >= maxRefused {
		oldest.refused = time.Time{}
	}
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
