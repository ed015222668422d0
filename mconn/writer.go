package mconn

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// writer is the state of the writer goroutine. Its timer serves pings, pongs and
// the send rate.
type writer struct {
	c        *MConnection
	pace     pacer
	keep     keepAlive
	batch    batch
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero: it has fired
	deadline time.Time // of the net.Conn for writing
}

func newWriter(c *MConnection, now time.Time) *writer {
	keep := newKeepAlive(c.config, &c.activity, now)

	return &writer{
		c:     c,
		pace:  newPacer(c.config.SendRate, c.maxPacket, c.config.FlushThrottle, now),
		keep:  keep,
		batch: newBatch(c.conn),
		timer: time.NewTimer(keep.nextPing.Sub(now)),
		armed: keep.nextPing,
	}
}

// run writes until the connection ends. It returns nil when FlushStop was called
// and all accepted messages are written.
func (w *writer) run() error {
	defer w.timer.Stop()

	for {
		if w.c.stopped.Load() {
			return errStopped
		}

		now := time.Now()
		if err := w.keep.check(now); err != nil {
			return err
		}

		draining := w.c.draining.Load()

		n, err := w.writeBatch(now, draining)
		if err != nil {
			return err
		}

		if n > 0 {
			continue
		}

		if draining {
			w.c.drained.Store(true)

			return nil
		}

		if err := w.wait(now); err != nil {
			return err
		}
	}
}

// writeBatch takes the packets that may be sent now, at most one batch of them, and
// writes all whole frames of it, and the rest if a message ends there. It returns the
// number of bytes taken, 0 when there was nothing to send.
func (w *writer) writeBatch(now time.Time, draining bool) (int, error) {
	b, written := &w.batch, 0
	b.begin()
	defer func() { b.end(written) }()

	var ping bool
	if b.buf, ping = w.keep.appendDue(b.buf, now); b.appended() > 0 {
		b.markEnd()
	}

	allowed := w.pace.allowance(now)
	if draining {
		allowed = noLimit
	}

	if allowed > 0 {
		// The rest of the last frame is paid for anyway.
		w.appendPackets(b.cost(b.held+min(allowed, max(1, w.batchSize()-b.held))), allowed != noLimit, now)
	}

	if ready := b.ready(); len(ready) > 0 {
		if err := w.write(ready, now); err != nil {
			return 0, fmt.Errorf("mconn: write: %w", err)
		}

		written = len(ready)
		w.c.sent.Add(written, now)
	}

	w.pace.spend(b.cost(written))

	if ping {
		w.keep.pinged(time.Now())
	}

	return b.appended(), nil
}

func (w *writer) batchSize() int {
	if sized, ok := w.c.conn.(sizedWriter); ok {
		return min(maxBatch, sized.WriteSize())
	}

	return maxBatch
}

// appendPackets appends packets in the order of the scheduler until the batch has
// at least limit bytes. Where frames are paid for, because there is a send rate, a packet that
// would begin a further frame waits for the next batch.
func (w *writer) appendPackets(limit int, paid bool, now time.Time) {
	w.c.sched.decay(now)

	b := &w.batch
	for len(b.buf) < limit {
		ch := w.c.sched.next(w.pending)
		if ch == nil {
			break
		}
		if paid && b.frame > 1 && b.appended() > 0 && len(b.buf)+ch.packetSize(w.c.config.MaxPacketMsgPayloadSize) > limit {
			break
		}

		var last bool
		if b.buf, last = ch.appendPacket(b.buf, w.c.config.MaxPacketMsgPayloadSize); last {
			b.markEnd()
			w.c.advance(ch)
		}
	}
}

// pending reports whether the channel has something to send. When no message is
// being sent, it advances to the next one.
func (w *writer) pending(ch *channel) bool {
	if ch.sending == nil && ch.size.Load() > 0 {
		w.c.advance(ch)
	}

	return ch.sending != nil
}

// write writes the batch. While the peer takes nothing, it waits for as long as the
// peer sends something: a node whose reactor is busy does not read, and still sends
// pings. It fails after the silence for which keep-alive would drop the peer, since
// keep-alive cannot act while the writer is blocked.
func (w *writer) write(batch []byte, begun time.Time) error {
	silence := w.keep.interval + w.keep.timeout
	if w.deadline.Sub(begun) <= w.keep.interval { // to set it for every write would cost more
		if err := w.setDeadline(begun.Add(silence)); err != nil {
			return err
		}
	}

	for {
		n, err := w.c.conn.Write(batch)
		now := time.Now()
		heard := w.c.activity.heardAt(now)

		if err == nil {
			if heard.After(begun) {
				w.keep.delay(now.Sub(begun))
			}

			return nil
		}

		if heard.Before(begun) {
			heard = begun
		}

		due := heard.Add(silence)
		if !errors.Is(err, os.ErrDeadlineExceeded) || !due.After(now) {
			return err
		}

		if err := w.setDeadline(due); err != nil {
			return err
		}

		batch = batch[n:]
	}
}

func (w *writer) setDeadline(t time.Time) error {
	w.deadline = t

	return w.c.conn.SetWriteDeadline(t)
}

// wait returns when a message is queued, a timer is due or the connection stops.
func (w *writer) wait(now time.Time) error {
	next := w.keep.next(now)
	if w.pace.closed {
		next = earlier(next, w.pace.opens())
	}

	if !next.Equal(w.armed) {
		w.timer.Reset(next.Sub(now))
		w.armed = next
	}

	select {
	case <-w.c.wake.C():
	case <-w.timer.C:
		w.armed = time.Time{}
	case <-w.c.Quit():
		return errStopped
	}

	return nil
}

// earlier returns the earlier of two times. A zero time stands for never.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || (!a.IsZero() && a.Before(b)) {
		return a
	}

	return b
}
