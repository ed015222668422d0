package adapter

import (
	"container/heap"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialItem is an address to dial at a time.
type dialItem struct {
	addr  types.NetAddress
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

// push adds an address; the caller has made sure that its ID is not queued.
func (q *dialQueue) push(addr types.NetAddress, due time.Time) {
	item := &dialItem{addr: addr, due: due, seq: q.seq}
	q.seq++
	q.byID[addr.ID] = item
	heap.Push(&q.items, item)
}

func (q *dialQueue) len() int { return len(q.items) }

func (q *dialQueue) has(id types.ID) bool {
	_, ok := q.byID[id]

	return ok
}

func (q *dialQueue) remove(id types.ID) {
	if item, ok := q.byID[id]; ok {
		heap.Remove(&q.items, item.index)
		delete(q.byID, id)
	}
}

// next is the time of the first item.
func (q *dialQueue) next() (due time.Time, ok bool) {
	if len(q.items) == 0 {
		return time.Time{}, false
	}

	return q.items[0].due, true
}

// popDue takes the first item if its time has come.
func (q *dialQueue) popDue(now time.Time) (types.NetAddress, bool) {
	if len(q.items) == 0 || q.items[0].due.After(now) {
		return types.NetAddress{}, false
	}
	item := heap.Pop(&q.items).(*dialItem)
	delete(q.byID, item.addr.ID)

	return item.addr, true
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
