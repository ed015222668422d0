package mconn

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// maxFreeWaiters bounds the waiters a connection keeps for later.
const maxFreeWaiters = 8

// waiter is a Send that waits for a queue slot or for the send budget. Waiters are
// reused within a connection only: a timer or channel made in one synctest bubble
// cannot be used in another.
type waiter struct {
	msg   []byte
	admit chan bool // true: the message is queued; false: the connection ends
	timer *time.Timer
}

// Send queues a message on a channel. It waits at most compat.SendTimeout for a
// slot in the channel's queue and for the send budget (MaxSendBufferBytes). Sends
// that wait on the same channel are served in order.
//
// It returns true when the message is queued. The message is then delivered unless
// the connection ends. It returns false at once when the connection is not running,
// the channel is unknown, or the message is empty or larger than the whole budget.
//
// Send does not copy the message. The caller must not change it afterwards.
func (c *MConnection) Send(chID byte, msg []byte) bool {
	ch := c.byID[chID]
	if ch == nil || len(msg) == 0 {
		return false
	}

	c.mu.Lock()

	if !c.open || c.overBudget(len(msg)) {
		c.mu.Unlock()

		return false
	}

	if len(ch.waiting) == 0 && c.accepts(ch, msg) {
		c.enqueue(ch, msg)
		c.mu.Unlock()
		c.wake.Set()

		return true
	}

	w := c.newWaiter(msg)
	ch.waiting = append(ch.waiting, w)
	c.waiters++
	c.mu.Unlock()

	return c.await(ch, w)
}

// TrySend is Send without waiting. It returns false when the queue or the send
// budget is full.
func (c *MConnection) TrySend(chID byte, msg []byte) bool {
	ch := c.byID[chID]
	if ch == nil || len(msg) == 0 {
		return false
	}

	c.mu.Lock()
	ok := c.open && len(ch.waiting) == 0 && c.accepts(ch, msg)

	if ok {
		c.enqueue(ch, msg)
	}
	c.mu.Unlock()

	if ok {
		c.wake.Set()
	}

	return ok
}

// overBudget reports whether a message of size bytes exceeds the whole budget.
func (c *MConnection) overBudget(size int) bool {
	budget := c.config.MaxSendBufferBytes

	return budget > 0 && size > budget
}

// accepts reports whether the queue and the budget have room for the message.
// Callers hold mu.
func (c *MConnection) accepts(ch *channel, msg []byte) bool {
	budget := c.config.MaxSendBufferBytes

	return !ch.queue.full() && (budget == 0 || len(msg) <= budget-c.sendBytes)
}

// enqueue queues a message for which accepts is true. Callers hold mu.
func (c *MConnection) enqueue(ch *channel, msg []byte) {
	ch.queue.push(msg)
	ch.size.Add(1)
	c.sendBytes += len(msg)
}

// advance makes the next message of the channel's queue the one being sent. It
// releases the slot and the budget of the message before, if any, and admits
// waiters. Only the writer calls it.
func (c *MConnection) advance(ch *channel) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if ch.sendingSize > 0 {
		ch.size.Add(-1)
		c.sendBytes -= ch.sendingSize
	}

	ch.sending = ch.queue.pop()
	ch.sendingSize = len(ch.sending)

	if c.waiters > 0 {
		c.admitWaiters()
	}
}

// admitWaiters queues the waiting messages that are accepted now. A message that
// exceeds the budget blocks only the waiters of its own channel, so that bulk data
// does not delay votes. Callers hold mu.
func (c *MConnection) admitWaiters() {
	for _, ch := range c.channels {
		for len(ch.waiting) > 0 && c.accepts(ch, ch.waiting[0].msg) {
			w := ch.waiting[0]
			c.enqueue(ch, w.msg)
			c.removeWaiter(ch, 0)
			w.admit <- true
		}
	}
}

// removeWaiter removes a waiter from the list. Callers hold mu.
func (c *MConnection) removeWaiter(ch *channel, i int) {
	ch.waiting = slices.Delete(ch.waiting, i, i+1)
	c.waiters--
}

// await returns when the waiter is admitted, times out, or the connection ends.
func (c *MConnection) await(ch *channel, w *waiter) bool {
	var ok bool

	select {
	case ok = <-w.admit:
	case <-w.timer.C:
		ok = c.giveUp(ch, w)
	}

	w.timer.Stop()
	w.msg = nil

	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.freeWaiters) < maxFreeWaiters {
		c.freeWaiters = append(c.freeWaiters, w)
	}

	return ok
}

// giveUp removes a waiter that has timed out, unless it was admitted meanwhile.
func (c *MConnection) giveUp(ch *channel, w *waiter) bool {
	c.mu.Lock()

	i := slices.Index(ch.waiting, w)
	if i >= 0 {
		c.removeWaiter(ch, i)
		c.admitWaiters() // the next one may be smaller
		c.mu.Unlock()
		c.wake.Set()

		return false
	}

	c.mu.Unlock()

	return <-w.admit
}

// newWaiter returns a waiter with a running timer. Callers hold mu.
func (c *MConnection) newWaiter(msg []byte) *waiter {
	last := len(c.freeWaiters) - 1
	if last < 0 {
		return &waiter{msg: msg, admit: make(chan bool, 1), timer: time.NewTimer(compat.SendTimeout)}
	}

	w := c.freeWaiters[last]
	c.freeWaiters = c.freeWaiters[:last]
	w.msg = msg
	w.timer.Reset(compat.SendTimeout)

	return w
}

// refuseSends makes all later Sends fail, and those that wait.
func (c *MConnection) refuseSends() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.open = false

	for _, ch := range c.channels {
		for len(ch.waiting) > 0 {
			w := ch.waiting[0]
			c.removeWaiter(ch, 0)
			w.admit <- false
		}
	}
}
