package lp2p

import (
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// outbox is the sending side of a session: the queues of its channels, which share a
// budget of maxSendBytes.
type outbox struct {
	s     *session
	flow  flow.Meter
	gate  *sendGate
	below *backlog             // nil where the connection has no send queue of its own
	order []*channelOut        // immutable
	byID  map[byte]*channelOut // those that the remote has too; immutable
	pool  sync.Pool            // of *[]byte with capacity batchSize

	mtx      sync.Mutex
	closed   bool          // the session has ended
	refusing bool          // no message is accepted any more
	bytes    int           // of messages accepted and not yet written
	messages int           // accepted and not yet written
	drained  chan struct{} // closed when refusing is set and messages is zero
}

// newOutbox returns the outbox for the channels that both sides have.
func newOutbox(s *session, remote []byte) *outbox {
	o := &outbox{
		s: s, byID: make(map[byte]*channelOut), drained: make(chan struct{}),
		gate: newSendGate(s.t.opts.sendRate),
	}
	o.pool.New = func() any {
		b := make([]byte, 0, batchSize)

		return &b
	}
	s.conn.As(&o.below)
	for _, d := range s.channels {
		c := &channelOut{o: o, desc: d, wake: task.NewSignal()}
		o.order = append(o.order, c)
		if slices.Contains(remote, d.ID) {
			o.byID[d.ID] = c
		}
	}

	return o
}

// waiter is a message that waits for room in its queue.
type waiter struct {
	msg      []byte
	accepted bool          // set before done is closed
	done     chan struct{} // closed when the message is accepted, or never will be
}

// send queues a message; with wait it waits up to compat.SendTimeout for room. Waiting
// messages of one channel are accepted in the order in which they came.
func (o *outbox) send(channel byte, msg []byte, wait bool) bool {
	c := o.byID[channel]
	if c == nil || len(msg) == 0 || len(msg) > maxSendBytes {
		return false
	}
	accepted, w := o.offer(c, msg, wait)
	switch {
	case w == nil:
		return accepted
	case task.WaitFor(w.done, compat.SendTimeout):
		return w.accepted
	default:
		return o.giveUp(c, w)
	}
}

// offer queues the message if there is room and no other message waits for it. Otherwise
// it returns a waiter if the caller wants to wait.
func (o *outbox) offer(c *channelOut, msg []byte, wait bool) (accepted bool, _ *waiter) {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	switch {
	case o.refusing:
		return false, nil
	case len(c.waiters) == 0 && o.hasRoom(c, msg):
		o.enqueue(c, msg)

		return true, nil
	case !wait:
		c.full++

		return false, nil
	default:
		w := &waiter{msg: msg, done: make(chan struct{})}
		c.waiters = append(c.waiters, w)

		return false, w
	}
}

// giveUp ends the waiting, and reports whether the message was accepted at the last
// moment.
func (o *outbox) giveUp(c *channelOut, w *waiter) bool {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	i := slices.Index(c.waiters, w)
	if i < 0 {
		return w.accepted
	}
	c.waiters = slices.Delete(c.waiters, i, i+1)
	c.full++
	o.admit() // a smaller message behind it may have room

	return false
}

// hasRoom reports whether the channel has room for the message. The caller of this and
// the next three holds mtx.
func (o *outbox) hasRoom(c *channelOut, msg []byte) bool {
	return len(c.queue) < c.desc.SendQueueCapacity && o.bytes+len(msg) <= maxSendBytes
}

func (o *outbox) enqueue(c *channelOut, msg []byte) {
	c.queue = append(c.queue, msg)
	o.bytes += len(msg)
	o.messages++
	if !c.running {
		c.running = true
		// Close waits for tasks only after the session has ended, and then refusing is set.
		o.s.t.tasks.Go(c.run)
	}
	c.wake.Set()
}

// admit accepts waiting messages as far as there is room.
func (o *outbox) admit() {
	for _, c := range o.order {
		for !o.refusing && len(c.waiters) > 0 && o.hasRoom(c, c.waiters[0].msg) {
			w := c.waiters[0]
			c.waiters = slices.Delete(c.waiters, 0, 1)
			o.enqueue(c, w.msg)
			w.accepted = true
			close(w.done)
		}
	}
}

// stopAccepting accepts no more messages, and dismisses those that wait.
func (o *outbox) stopAccepting() {
	if o.refusing {
		return
	}
	o.refusing = true
	for _, c := range o.order {
		for _, w := range c.waiters {
			close(w.done)
		}
		c.waiters = nil
	}
	if o.messages == 0 {
		close(o.drained)
	}
}

// refuse accepts no more messages. The channel it returns closes when all accepted ones
// are written.
func (o *outbox) refuse() <-chan struct{} {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.stopAccepting()

	return o.drained
}

// close drops what is queued. The session has ended.
func (o *outbox) close() {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.stopAccepting()
	o.gate.end()
	o.closed = true
	for _, c := range o.order {
		c.queue = nil
	}
}

// streams returns the streams that are open.
func (o *outbox) streams() (streams []*stream.Stream) {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	for _, c := range o.order {
		if c.stream != nil {
			streams = append(streams, c.stream)
		}
	}

	return streams
}

// sent counts the messages written, by channel in ascending order.
func (o *outbox) sent() []control.ChannelCount {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	counts := make(map[byte]uint64)
	for _, c := range o.order {
		counts[c.desc.ID] = c.sent
	}

	return control.Counts(counts)
}

func (o *outbox) status(now time.Time) []compat.ChannelStatus {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	channels := make([]compat.ChannelStatus, 0, len(o.order))
	for _, c := range o.order {
		channels = append(channels, compat.ChannelStatus{
			ID: c.desc.ID, SendQueueCapacity: c.desc.SendQueueCapacity, SendQueueSize: len(c.queue),
			Priority: c.desc.Priority, RecentlySent: int64(c.recent.At(now)),
		})
	}

	return channels
}
