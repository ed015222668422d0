package discovery

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// maxKnown bounds the records of peers, and the addresses in the book of the DHT.
	// Lookups in a network of thousands name some hundred peers.
	maxKnown = 2048
	// maxIDs bounds the TM2 IDs that are remembered.
	maxIDs = 2 * maxKnown
	// maxRefused bounds the refused peers among them, which must not displace peers that
	// have answered.
	maxRefused = maxKnown / 4

	aliveTTL   = 30 * time.Minute // how long a peer that has answered counts as alive
	refusedTTL = time.Hour        // how long a peer of another network is left alone
	// shortRefusedTTL is how long a peer without TM2 protocols is left alone, since it may be
	// shutting down, and a known node that names another network, since its operator may
	// correct that.
	shortRefusedTTL = 2 * time.Minute
	// unservedTTL is how long a former peer that was found and has not answered a query is
	// not asked again to enter the DHT: most likely it does not serve the DHT.
	unservedTTL  = 2 * time.Minute
	confirmedTTL = time.Hour // how long a peer of this network is not asked for its network again

	// A hint of the same peer waits for hintWait, because the switch may have dropped
	// the last one without notice for want of a slot. After a failure it waits for
	// failWait, doubled with each further one up to maxFailWait.
	hintWait    = 5 * time.Second
	failWait    = 10 * time.Second
	maxFailWait = 30 * time.Minute
)

// record is what decides whether a peer is asked, told and hinted. Where it is the
// address book knows.
type record struct {
	touched  time.Time
	answered time.Time // when it last answered a query

	hintedAt netip.AddrPort // where the switch was told that it is
	hintable time.Time      // the switch gets no hint before
	failures int            // of such hints in a row

	ours     time.Time // when it was found to be of this network
	asked    time.Time // when it was last asked for that
	refused  time.Time // not wanted until
	unserved time.Time // when it last was connected and left a first query unanswered

	search search
}

// records remembers the peers of the DHT. It holds at most maxKnown. Peers that have
// answered, were refused, or are wanted stay when others are evicted.
type records struct {
	queued task.Signal // there is one more peer to look for

	mtx   sync.Mutex
	peers map[peer.ID]*record
}

func newRecords() *records {
	return &records{queued: task.NewSignal(), peers: make(map[peer.ID]*record)}
}

// at returns the record of the peer, a new one if there is none. The caller holds
// the lock.
func (r *records) at(p peer.ID, now time.Time) *record {
	k := r.peers[p]
	if k == nil {
		if len(r.peers) >= maxKnown {
			r.evict(now)
		}
		k = &record{}
		r.peers[p] = k
	}
	k.touched = now

	return k
}

// worth orders records for eviction: peers without a recent answer go first, then peers
// that have answered, then refused and wanted ones.
func (k *record) worth(now time.Time) int {
	switch {
	case k.refused.After(now), k.search.wanted():
		return 2
	case k.alive(now):
		return 1
	default:
		return 0
	}
}

func (k *record) alive(now time.Time) bool { return now.Sub(k.answered) < aliveTTL }

// isOurs reports whether the peer was found to be of this network within confirmedTTL, and
// wasOurs whether it ever was.
func (k *record) isOurs(now time.Time) bool { return now.Sub(k.ours) < confirmedTTL }
func (k *record) wasOurs() bool             { return !k.ours.IsZero() }

// evict removes the oldest of the records with the lowest worth. It removes an eighth
// of all records at a time, because it has to look at all of them. The caller holds the
// lock.
func (r *records) evict(now time.Time) {
	var least []peer.ID
	worth := math.MaxInt
	for p, k := range r.peers {
		switch w := k.worth(now); {
		case w < worth:
			worth, least = w, append(least[:0], p)
		case w == worth:
			least = append(least, p)
		}
	}
	slices.SortFunc(least, func(a, c peer.ID) int { return r.peers[a].touched.Compare(r.peers[c].touched) })
	for _, p := range least[:min(len(least), maxKnown/8)] {
		delete(r.peers, p)
	}
}

// update changes the record of the peer, a new one if there is none.
func (r *records) update(p peer.ID, now time.Time, change func(*record)) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	change(r.at(p, now))
}

// of returns a copy of what is known of the peer, which may be nothing.
func (r *records) of(p peer.ID) *record {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	var known record
	if k := r.peers[p]; k != nil {
		known = *k
	}

	return &known
}

// noteAnswer notes that the peer has answered a query.
func (r *records) noteAnswer(p peer.ID, now time.Time) {
	r.update(p, now, func(k *record) { k.answered = now })
}

// alive returns the peers that have answered within aliveTTL and may be hinted now.
func (r *records) alive(now time.Time) (peers []peer.ID) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for p, k := range r.peers {
		if k.alive(now) && !k.refused.After(now) && !k.hintable.After(now) {
			peers = append(peers, p)
		}
	}

	return peers
}

// isAlive reports whether the peer has answered within aliveTTL.
func (r *records) isAlive(p peer.ID, now time.Time) bool { return r.of(p).alive(now) }

// hinted notes that the switch was told where the peer is.
func (r *records) hinted(p peer.ID, at netip.AddrPort, now time.Time) {
	r.update(p, now, func(k *record) { k.hintedAt, k.hintable = at, now.Add(hintWait) })
}

// failed notes that the switch has not connected to the peer at the address. After gone,
// which says that the peer is not there, it must answer a query before the next hint. Only
// the hinted address and the one at which the peer has answered count: the switch may have
// learned any other from a third party.
func (r *records) failed(p peer.ID, at, answeredAt netip.AddrPort, gone bool, now time.Time) {
	r.update(p, now, func(k *record) {
		if at != k.hintedAt && at != answeredAt {
			return
		}
		k.failures++
		k.hintable = now.Add(min(maxFailWait, failWait<<min(k.failures-1, 10)))
		if gone {
			k.answered = time.Time{}
		}
	})
}

// connected notes that the switch is connected to the peer.
func (r *records) connected(p peer.ID, now time.Time) {
	r.update(p, now, func(k *record) {
		k.failures, k.hintable, k.refused, k.ours = 0, time.Time{}, time.Time{}, now
	})
}

// beginCheck reports whether the peer may be asked for its network now, and notes
// that it is.
func (r *records) beginCheck(p peer.ID, now time.Time) bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	k := r.at(p, now)
	if now.Sub(k.asked) < walkTimeout {
		return false
	}
	k.asked = now

	return true
}

// confirm notes that the peer says that it is of this network.
func (r *records) confirm(p peer.ID, now time.Time) {
	r.update(p, now, func(k *record) { k.ours = now })
}

// refuse notes that the peer is not of this network, and not wanted for a time. If more
// than maxRefused are refused, the oldest refusal is forgotten.
func (r *records) refuse(p peer.ID, ttl time.Duration, now time.Time) {
	r.update(p, now, func(k *record) {
		k.refused, k.ours, k.asked, k.answered = now.Add(ttl), time.Time{}, time.Time{}, time.Time{}
	})
	r.limit(maxRefused, func(k *record) *time.Time {
		if k.refused.After(now) {
			return &k.refused
		}

		return nil
	})
}

// limit clears the oldest of the times that of returns, one of a record or nil, if there
// are more than so many.
func (r *records) limit(most int, of func(*record) *time.Time) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	var oldest *time.Time
	count := 0
	for _, k := range r.peers {
		at := of(k)
		if at == nil {
			continue
		}
		count++
		if oldest == nil || at.Before(*oldest) {
			oldest = at
		}
	}
	if count > most {
		*oldest = time.Time{}
	}
}

// isRefused reports whether the peer was found not to be of this network.
func (r *records) isRefused(p peer.ID, now time.Time) bool { return r.of(p).refused.After(now) }

// size returns the number of records, and how many of them are refused.
func (r *records) size(now time.Time) (all, refused int) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for _, k := range r.peers {
		if k.refused.After(now) {
			refused++
		}
	}

	return len(r.peers), refused
}

// isConfigured reports whether the peer is one through which the DHT is entered.
func (d *Discovery) isConfigured(p peer.ID) bool {
	id, err := d.ids.Of(p)

	return err == nil && d.configured[id]
}

// isPrivate reports whether the peer may be told to nobody.
func (d *Discovery) isPrivate(id types.ID) bool {
	return d.book.IsPrivate(id) || d.t.IsPrivatePeer(id)
}

// unwanted reports whether the peer must stay out of the DHT: it is private, refused,
// or has no TM2 ID.
func (d *Discovery) unwanted(p peer.ID) bool {
	id, err := d.ids.Of(p)

	return err != nil || d.isPrivate(id) || d.records.isRefused(p, time.Now())
}

// mayTell reports whether others may be told of the peer. The peer must take part as a
// server of the DHT, and must not be unwanted.
func (d *Discovery) mayTell(p peer.ID) bool {
	if d.unwanted(p) {
		return false
	}
	if table := d.table.Load(); table != nil && table.Find(p) != "" || d.records.isAlive(p, time.Now()) {
		return true
	}
	// An error means that nothing is known of the peer.
	spoken, err := d.t.Host().Peerstore().FirstSupportedProtocol(p, d.proto)

	return err == nil && spoken != ""
}
