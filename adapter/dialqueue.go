package adapter

import (
	"container/heap"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialItem is a dial that is due at a time.
type dialItem struct {
	dial  *dial
	due   time.Time
	seq   uint64 // items of equal time keep their order
	index int    // in the heap
}

// dialQueue holds at most one item for each ID, ordered by time. It is not safe
// for concurrent use.
type dialQueue struct {
	items dialHeap
	byID  map[types.ID]*dialItem
	seq   uint64
}

func newDialQueue() *dialQueue { return &dialQueue{byID: make(map[types.ID]*dialItem)} }

// push adds a dial; the caller has made sure that its ID is not queued.
func (q *dialQueue) push(t *dial, due time.Time) {
	item := &dialItem{dial: t, due: due, seq: q.seq}
	q.seq++
	q.byID[t.addr.ID] = item
	heap.Push(&q.items, item)
}

func (q *dialQueue) len() int { return len(q.items) }

func (q *dialQueue) has(id types.ID) bool {
	_, ok := q.byID[id]

	return ok
}

// get returns the dial of the ID, or nil.
func (q *dialQueue) get(id types.ID) *dial {
	if item, ok := q.byID[id]; ok {
		return item.dial
	}

	return nil
}

func (q *dialQueue) remove(id types.ID) {
	if item, ok := q.byID[id]; ok {
		heap.Remove(&q.items, item.index)
		delete(q.byID, id)
	}
}

// removeFunc removes the dials for which del is true and counts them.
func (q *dialQueue) removeFunc(del func(*dial) bool) (removed int) {
	for id, item := range q.byID {
		if del(item.dial) {
			q.remove(id)
			removed++
		}
	}

	return removed
}

// next is the time of the first item.
func (q *dialQueue) next() (due time.Time, ok bool) {
	if len(q.items) == 0 {
		return time.Time{}, false
	}

	return q.items[0].due, true
}

// popDue takes the first dial if its time has come, else it returns nil.
func (q *dialQueue) popDue(now time.Time) *dial {
	if len(q.items) == 0 || q.items[0].due.After(now) {
		return nil
	}
	item := heap.Pop(&q.items).(*dialItem)
	delete(q.byID, item.dial.addr.ID)

	return item.dial
}

// dialHeap implements heap.Interface.
type dialHeap []*dialItem

func (h dialHeap) Len() int { return len(h) }

func (h dialHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}

	return h[i].due.Before(h[j].due)
}

func (h dialHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dialHeap) Push(x any) {
	item := x.(*dialItem)
	item.index = len(*h)
	*h = append(*h, item)
}

func (h *dialHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]

	return last
}
