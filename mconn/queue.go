package mconn

// firstQueueSlots is how many slots the first message allocates. Most channels
// never need their whole capacity.
const firstQueueSlots = 4

// queue is a bounded FIFO of messages. It does not copy them.
type queue struct {
	slots [][]byte
	head  int
	n     int
	limit int
}

func (q *queue) full() bool { return q.n == q.limit }

// push adds a message to a queue that is not full.
func (q *queue) push(msg []byte) {
	if q.n == len(q.slots) {
		q.grow()
	}

	q.slots[(q.head+q.n)%len(q.slots)] = msg
	q.n++
}

// pop removes and returns the oldest message, or nil when there is none.
func (q *queue) pop() []byte {
	if q.n == 0 {
		return nil
	}

	msg := q.slots[q.head]
	q.slots[q.head] = nil
	q.head = (q.head + 1) % len(q.slots)
	q.n--

	return msg
}

func (q *queue) grow() {
	slots := make([][]byte, min(q.limit, max(firstQueueSlots, 2*len(q.slots))))
	for i := range q.n {
		slots[i] = q.slots[(q.head+i)%len(q.slots)]
	}

	q.slots, q.head = slots, 0
}

// clear drops all messages.
func (q *queue) clear() {
	q.slots, q.head, q.n = nil, 0, 0
}
