package discovery

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxWanted bounds the peers that are looked up when they are not at their
	// addresses. Configured peers do not count.
	maxWanted = 256

	// The wait before the same peer is looked for again, doubled each time.
	firstFindWait = 2 * time.Second
	maxFindWait   = 10 * time.Minute
	// maxFindTries is how often a peer is looked up before another failed dial, or a
	// connection, is needed.
	maxFindTries = 6
)

// search says whether a peer is wanted, which is worth a lookup when it is not at its
// address, and whether it is to be looked up now.
type search struct {
	configured bool
	since      time.Time // when it was last connected; zero if never, or if many others were since
	missed     bool      // to be looked for
	due        time.Time // not before
	tries      int       // since it was last connected
}

func (s search) wanted() bool { return s.configured || !s.since.IsZero() }

// want notes a peer that is connected. If there are too many, the one connected longest
// ago is not wanted any more, unless it is configured.
func (r *records) want(p peer.ID, configured bool, now time.Time) {
	r.update(p, now, func(k *record) { k.search = search{configured: configured, since: now} })
	r.limit(maxWanted, func(k *record) *time.Time {
		if k.search.configured || k.search.since.IsZero() {
			return nil
		}

		return &k.search.since
	})
}

// lost notes that a peer was not found at its address, if it is wanted.
func (r *records) lost(p peer.ID, configured bool, now time.Time) {
	r.update(p, now, func(k *record) {
		k.search.configured = configured
		if k.search.wanted() && !k.search.missed {
			k.search.missed = true
			r.queued.Set()
		}
	})
}

// next returns a peer to look up now and counts the try: configured peers first, then
// the one that has waited longest. If no peer is due it returns when one will be, or
// zero if none is to be looked up.
func (r *records) next(now time.Time) (p peer.ID, due time.Time) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	var first *search
	for other, k := range r.peers {
		switch s := &k.search; {
		case !s.missed || !s.wanted():
		case s.due.After(now):
			if due.IsZero() || s.due.Before(due) {
				due = s.due
			}
		case first == nil, s.configured && !first.configured, s.configured == first.configured && s.due.Before(first.due):
			p, first = other, s
		}
	}
	if first == nil {
		return "", due
	}
	first.due = now.Add(min(maxFindWait, firstFindWait<<min(first.tries, 10)))
	first.tries++
	first.missed = first.tries%maxFindTries != 0

	return p, time.Time{}
}

// found ends the search for a peer until it is lost again.
func (r *records) found(p peer.ID) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if k := r.peers[p]; k != nil {
		k.search.missed = false
	}
}
