package demo

import (
	"context"
	"sync"
)

// messageKey identifies a message of one origin.
type messageKey struct {
	channel byte
	seq     uint64
}

// window tracks the open messages of one origin and limits their number. A message is open
// until every other node has received it and no queue holds a copy. All methods may be
// called concurrently.
type window struct {
	readers int           // nodes that must receive each message
	slots   chan struct{} // one element per open message
	changed func()        // called when the window becomes empty

	mtx  sync.Mutex
	last map[byte]uint64 // last sequence number, by channel
	open map[messageKey]*underway
}

type underway struct {
	unseen int // nodes that have not received the message
	copies int // copies in queues
}

func newWindow(size, readers int, changed func()) *window {
	return &window{
		readers: readers,
		slots:   make(chan struct{}, size),
		changed: changed,
		last:    make(map[byte]uint64),
		open:    make(map[messageKey]*underway),
	}
}

// begin waits for a free slot and opens a message on the channel.
func (w *window) begin(ctx context.Context, channel byte) (messageKey, error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return messageKey{}, ctx.Err()
	}
	w.mtx.Lock()
	defer w.mtx.Unlock()
	w.last[channel]++
	key := messageKey{channel: channel, seq: w.last[channel]}
	w.open[key] = &underway{unseen: w.readers}

	return key, nil
}

// queued counts copies that enter queues, or leave them if change is negative. A node that
// forwards a message calls queued before seen, so that the message stays open.
func (w *window) queued(key messageKey, change int) {
	w.update(key, func(m *underway) { m.copies += change })
}

// seen counts a node that has received the message. It returns false when no node is to
// receive that message.
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

// empty reports whether no message is open.
func (w *window) empty() bool {
	w.mtx.Lock()
	defer w.mtx.Unlock()

	return len(w.open) == 0
}
