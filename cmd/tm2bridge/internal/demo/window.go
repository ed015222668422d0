package demo

import (
	"context"
	"sync"
)

// messageKey names a message among those of its origin.
type messageKey struct {
	channel byte
	seq     uint64
}

// window tracks the messages of one origin that are still under way: some node
// has not seen them, or a copy waits in a queue. It bounds how many there are.
// All methods may be called concurrently.
type window struct {
	readers int           // nodes that must see each message
	slots   chan struct{} // one element for each open message
	changed func()        // called when the window has become empty

	mtx  sync.Mutex
	next map[byte]uint64 // by channel: the last sequence number given out
	open map[messageKey]*underway
}

type underway struct {
	unseen int // nodes that have not seen the message
	copies int // copies in queues
}

func newWindow(size, readers int, changed func()) *window {
	return &window{
		readers: readers,
		slots:   make(chan struct{}, size),
		changed: changed,
		next:    make(map[byte]uint64),
		open:    make(map[messageKey]*underway),
	}
}

// begin waits for room and opens a message on the channel.
func (w *window) begin(ctx context.Context, channel byte) (messageKey, error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return messageKey{}, ctx.Err()
	}
	w.mtx.Lock()
	defer w.mtx.Unlock()
	w.next[channel]++
	key := messageKey{channel: channel, seq: w.next[channel]}
	w.open[key] = &underway{unseen: w.readers}

	return key, nil
}

// queued counts copies that are put into queues. A node that forwards calls it
// before seen, so that the message stays open.
func (w *window) queued(key messageKey, copies int) {
	w.update(key, func(m *underway) { m.copies += copies })
}

// left counts copies that have left a queue.
func (w *window) left(key messageKey, copies int) {
	w.update(key, func(m *underway) { m.copies -= copies })
}

// seen counts a node that has the message now. It reports false for a message
// that is not under way to anybody.
func (w *window) seen(key messageKey) bool {
	awaited := false
	w.update(key, func(m *underway) {
		if awaited = m.unseen > 0; awaited {
			m.unseen--
		}
	})

	return awaited
}

func (w *window) update(key messageKey, change func(*underway)) {
	w.mtx.Lock()
	m := w.open[key]
	if m == nil {
		w.mtx.Unlock()
		return
	}
	change(m)
	done := m.unseen == 0 && m.copies == 0
	if done {
		delete(w.open, key)
	}
	empty := done && len(w.open) == 0
	w.mtx.Unlock()

	if done {
		<-w.slots
	}
	if empty {
		w.changed()
	}
}

// empty reports whether nothing is under way.
func (w *window) empty() bool {
	w.mtx.Lock()
	defer w.mtx.Unlock()

	return len(w.open) == 0
}
