package discovery

import (
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
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

// wanted holds the peers that are worth a lookup, and which of them are to be looked up
// now.
type wanted struct {
	queued task.Signal // there is one more to look for

	mtx   sync.Mutex
	peers map[types.ID]*want
}

type want struct {
	configured bool
	since      time.Time
	missed     bool      // to be looked for
	due        time.Time // not before
	tries      int       // since it was last connected
}

func newWanted() *wanted { return &wanted{queued: task.NewSignal(), peers: make(map[types.ID]*want)} }

// add notes a peer that is configured or was connected. If there are too many, the peer
// noted longest ago goes, unless it is configured.
func (w *wanted) add(id types.ID, configured bool) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	if known := w.peers[id]; known != nil {
		known.configured = known.configured || configured
		known.since, known.due, known.tries, known.missed = time.Now(), time.Time{}, 0, false

		return
	}
	if !configured {
		w.makeRoom()
	}
	w.peers[id] = &want{configured: configured, since: time.Now()}
}

// isConfigured reports whether the peer is configured.
func (w *wanted) isConfigured(id types.ID) bool {
	_, configured := w.has(id)

	return configured
}

// has reports whether the peer is configured or was connected not long ago, and which.
func (w *wanted) has(id types.ID) (known, configured bool) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	k := w.peers[id]

	return k != nil, k != nil && k.configured
}

// makeRoom removes the peer that was noted longest ago if maxWanted is reached, leaving
// configured peers aside. The caller holds the lock.
func (w *wanted) makeRoom() {
	var (
		oldest types.ID
		count  int
	)
	for id, known := range w.peers {
		if known.configured {
			continue
		}
		count++
		if oldest == "" || known.since.Before(w.peers[oldest].since) {
			oldest = id
		}
	}
	if count >= maxWanted {
		delete(w.peers, oldest)
	}
}

// lost notes that a peer was not found at its address, if it is wanted.
func (w *wanted) lost(id types.ID) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	if known := w.peers[id]; known != nil && !known.missed {
		known.missed = true
		w.queued.Set()
	}
}

// next returns a peer to look up now and counts the try: configured peers first, then
// the one that has waited longest. If no peer is due it returns when one will be, or
// zero if none is to be looked up.
func (w *wanted) next(now time.Time) (id types.ID, due time.Time) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	var first *want
	for other, known := range w.peers {
		switch {
		case !known.missed:
		case known.due.After(now):
			if due.IsZero() || known.due.Before(due) {
				due = known.due
			}
		case first == nil || known.before(first):
			id, first = other, known
		}
	}
	if first == nil {
		return "", due
	}
	first.due = now.Add(min(maxFindWait, firstFindWait<<min(first.tries, 10)))
	first.tries++
	first.missed = first.tries%maxFindTries != 0

	return id, time.Time{}
}

// before reports whether the peer is looked for before the other one.
func (k *want) before(other *want) bool {
	if k.configured != other.configured {
		return k.configured
	}

	return k.due.Before(other.due)
}

// found ends the search for a peer until it is lost again.
func (w *wanted) found(id types.ID) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	if known := w.peers[id]; known != nil {
		known.missed = false
	}
}
