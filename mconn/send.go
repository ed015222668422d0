package mconn

import (
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// maxFreeWaiters bounds the waiters a connection keeps for later.
const maxFreeWaiters = 8

// waiter is a Send that waits for a queue slot or for the send budget. They are
// kept per connection, not in a pool of the package, because each owns a timer
// and a channel.
type waiter struct {
	msg   []byte
	admit chan bool // true: the message is queued; false: the connection ends
	timer *time.Timer
}

// Send queues a message on a channel. It waits at most compat.SendTimeout for a
// place in the channel's queue and for the send budget (MaxSendBufferBytes);
// those who wait on a channel are served in order. True means that the message is
// delivered unless the connection ends. False comes at once when the connection
// is not running, the channel is unknown, or the message is empty or larger than
// the whole budget. The slice is kept until it is sent and must not be changed
// afterwards.
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

// TrySend is Send without waiting: false when the queue or the send budget is
// full.
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

// overBudget reports whether a message of the size can never be sent.
func (c *MConnection) overBudget(size int) bool {
	budget := c.config.MaxSendBufferBytes

	return budget > 0 && size > budget
}

// accepts reports whether the message has a place now. Callers hold mu.
func (c *MConnection) accepts(ch *channel, msg []byte) bool {
	budget := c.config.MaxSendBufferBytes

	return !ch.queue.full() && (budget == 0 || len(msg) <= budget-c.sendBytes)
}

// enqueue queues an accepted message. Callers hold mu.
func (c *MConnection) enqueue(ch *channel, msg []byte) {
	ch.queue.push(msg)
	ch.size.Add(1)
	c.sendBytes += len(msg)
}

// advance takes the channel's next message out of its queue, after the former one
// was sent, and lets in those who waited for the place. Only the writer calls it.
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

// admitWaiters queues the messages that have a place now. A message that does
// not fit the budget holds up its own channel only: bulk must not keep votes out.
// Callers hold mu.
func (c *MConnection) admitWaiters() {
	for _, ch := range c.channels {
		for len(ch.waiting) > 0 && c.accepts(ch, ch.waiting[0].msg) {
			w := ch.waiting[0]
			c.enqueue(ch, w.msg)
			c.dismiss(ch, 0)
			w.admit <- true
		}
	}
}

// dismiss takes a waiter out of the list. Callers hold mu.
func (c *MConnection) dismiss(ch *channel, i int) {
	ch.waiting = slices.Delete(ch.waiting, i, i+1)
	c.waiters--
}

// await returns when the waiter was admitted or dismissed.
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

// giveUp ends a waiter whose time is over, unless it was admitted just now.
func (c *MConnection) giveUp(ch *channel, w *waiter) bool {
	c.mu.Lock()

	i := slices.Index(ch.waiting, w)
	if i >= 0 {
		c.dismiss(ch, i)
		c.admitWaiters() // the next in line may be smaller
		c.mu.Unlock()
		c.wake.Set()

		return false
	}

	c.mu.Unlock()

	return <-w.admit
}

// newWaiter returns a waiter whose timer runs. Callers hold mu.
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

// refuseSends makes all sends fail from now on, also those that wait.
func (c *MConnection) refuseSends() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.open = false

	for _, ch := range c.channels {
		for len(ch.waiting) > 0 {
			w := ch.waiting[0]
			c.dismiss(ch, 0)
			w.admit <- false
		}
	}
}
