package adapter

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialQueue holds at most one dial for each peer, in the order in which they are due.
// Dials that are due at the same time keep their order. It is not safe for concurrent use.
type dialQueue struct {
	dials []*dial
	byID  map[types.ID]*dial
}

func newDialQueue() *dialQueue { return &dialQueue{byID: make(map[types.ID]*dial)} }

// push adds a dial; the caller has made sure that its ID is not queued.
func (q *dialQueue) push(t *dial, due time.Time) {
	t.due = due
	at := len(q.dials)
	for at > 0 && q.dials[at-1].due.After(due) {
		at--
	}
	q.dials = slices.Insert(q.dials, at, t)
	q.byID[t.addr.ID] = t
}

func (q *dialQueue) len() int { return len(q.dials) }

func (q *dialQueue) has(id types.ID) bool { return q.byID[id] != nil }

// remove drops the dial of the peer, if any.
func (q *dialQueue) remove(id types.ID) {
	q.removeFunc(func(t *dial) bool { return t.addr.ID == id })
}

// removeFunc drops the dials for which del is true and counts them.
func (q *dialQueue) removeFunc(del func(*dial) bool) (removed int) {
	before := len(q.dials)
	q.dials = slices.DeleteFunc(q.dials, func(t *dial) bool {
		drop := del(t)
		if drop {
			delete(q.byID, t.addr.ID)
		}

		return drop
	})

	return before - len(q.dials)
}

// next returns when the first dial is due.
func (q *dialQueue) next() (due time.Time, ok bool) {
	if len(q.dials) == 0 {
		return time.Time{}, false
	}

	return q.dials[0].due, true
}

// popLeast takes the first of the dials that add least to the crowd of a network or a source.
// One that adds to a crowd has to wait for crowdWait first. A dial that has waited for
// longestWait precedes all others, and so does one without a due time, as of a seed. Without
// any dial to take it returns nil.
func (q *dialQueue) popLeast(now time.Time, crowdOf func(*dial) int, quota int) *dial {
	best, least := -1, 0
	for i, t := range q.dials {
		if t.due.After(now) || best >= 0 && least == 0 {
			break
		}
		if now.Sub(t.due) >= longestWait {
			return q.removeAt(i)
		}
		crowd := crowdOf(t)
		if crowd >= quota && now.Sub(t.due) < crowdWait || best >= 0 && crowd >= least {
			continue
		}
		best, least = i, crowd
	}
	if best < 0 {
		return nil
	}

	return q.removeAt(best)
}

func (q *dialQueue) removeAt(i int) *dial {
	t := q.dials[i]
	q.dials = slices.Delete(q.dials, i, i+1)
	delete(q.byID, t.addr.ID)

	return t
}

// popDue takes the first dial if its time has come, else it returns nil.
func (q *dialQueue) popDue(now time.Time) *dial {
	if len(q.dials) == 0 || q.dials[0].due.After(now) {
		return nil
	}

	return q.removeAt(0)
}
