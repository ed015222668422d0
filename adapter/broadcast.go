package adapter

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// The bounds of the messages that wait for one peer on one channel. All peers share the
// bytes of a message.
const (
	maxBacklogMessages = 1024
	maxBacklogBytes    = 16 << 20 // one message may exceed it
)

// The reasons for stopping a peer that does not keep up with Broadcast.
var (
	// ErrBroadcastOverflow says that more messages wait for the peer than the bounds allow.
	ErrBroadcastOverflow = errors.New("too many broadcast messages wait for the peer")
	// ErrBroadcastStalled says that the peer took no message for compat.SendTimeout.
	ErrBroadcastStalled = errors.New("peer does not take broadcast messages")
)

// outboxes holds the waiting broadcast messages of a peer by channel. A channel has a
// backlog exactly while a goroutine of its own drains it, so that a blocked channel does
// not delay the others.
type outboxes struct {
	mtx      sync.Mutex
	backlogs map[byte]*backlog
	dead     bool // the peer is about to be stopped; no message is taken
}

// backlog is a queue of messages.
type backlog struct {
	msgs  [][]byte
	bytes int
}

func (b *backlog) push(msg []byte) bool {
	full := len(b.msgs) >= maxBacklogMessages || b.bytes+len(msg) > maxBacklogBytes
	if full && len(b.msgs) > 0 {
		return false
	}
	b.msgs = append(b.msgs, msg)
	b.bytes += len(msg)

	return true
}

func (b *backlog) pop() []byte {
	msg := b.msgs[0]
	b.msgs[0] = nil // the slice keeps its array while it is drained
	b.msgs = b.msgs[1:]
	b.bytes -= len(msg)

	return msg
}

// Broadcast implements compat.Switch. It does not allocate for a peer that takes the
// message at once. Otherwise up to 1024 messages or 16 MiB wait for the peer on each
// channel. A peer with more is stopped with ErrBroadcastOverflow, and one that takes none
// for compat.SendTimeout with ErrBroadcastStalled. A message that a peer can never take,
// because it is too large, is dropped and logged, as is one on a channel of no reactor. A
// message that a reactor sends to the peer directly may overtake those that wait.
func (sw *MultiplexSwitch) Broadcast(chID byte, data []byte) {
	if len(data) == 0 {
		return
	}
	if sw.behavior.reactors[chID] == nil {
		sw.Logger.Error("broadcast on a channel of no reactor", "channel", chID)

		return
	}
	for _, c := range sw.peers.connections() {
		if c.channels[chID] {
			sw.broadcastTo(c, chID, data)
		}
	}
}

// BroadcastsDropped counts the messages of Broadcast that a peer refused, and those that
// were lost when their peer was stopped.
func (sw *MultiplexSwitch) BroadcastsDropped() uint64 { return sw.dropped.Load() }

func (sw *MultiplexSwitch) broadcastTo(c *connection, chID byte, data []byte) {
	// While the lock is held a backlog neither begins nor ends, so the message cannot
	// overtake one that waits. TrySend does not block.
	c.out.mtx.Lock()
	defer c.out.mtx.Unlock()
	if c.out.dead {
		return
	}
	b := c.out.backlogs[chID]
	if b == nil && c.peer.TrySend(chID, data) {
		return
	}
	sw.enqueue(c, chID, b, data)
}

// enqueue lets the message wait. The caller holds the lock of the outboxes.
func (sw *MultiplexSwitch) enqueue(c *connection, chID byte, b *backlog, data []byte) {
	if c.out.dead || !c.peer.IsRunning() {
		return
	}
	if b == nil {
		b = &backlog{}
		if !sw.tasks.Go(func() { sw.drain(c, chID, b) }) {
			return
		}
		c.out.backlogs[chID] = b
	}
	if b.push(data) {
		return
	}
	c.out.dead = true
	sw.dropped.Add(1)
	// On another goroutine, since the caller may hold locks that RemovePeer takes.
	sw.tasks.Go(func() { sw.stop(c, fmt.Errorf("channel %#02x: %w", chID, ErrBroadcastOverflow)) })
}

// drain sends the waiting messages of a channel in order, until none is left or the peer
// ends.
func (sw *MultiplexSwitch) drain(c *connection, chID byte, b *backlog) {
	for {
		msg, ok := c.out.next(chID, b)
		if !ok {
			return
		}
		begin := time.Now()
		if c.peer.Send(chID, msg) {
			continue
		}
		sw.dropped.Add(1)
		if c.peer.IsRunning() && time.Since(begin) < compat.SendTimeout {
			// The peer can never take this message; it may take others.
			sw.Logger.Error("broadcast message cannot be sent", "peer", c.id, "channel", chID, "bytes", len(msg))

			continue
		}
		sw.dropped.Add(uint64(c.out.discard(chID, b)))
		// A peer that refuses at once is stopping, and may be flushing earlier messages. It
		// gets the time that Send would have had.
		if !task.WaitFor(c.peer.Quit(), time.Until(begin.Add(compat.SendTimeout))) {
			sw.stop(c, fmt.Errorf("channel %#02x: %w", chID, ErrBroadcastStalled))
		}

		return
	}
}

// next removes and returns the first waiting message, or ends the backlog.
func (o *outboxes) next(chID byte, b *backlog) ([]byte, bool) {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	if len(b.msgs) == 0 {
		delete(o.backlogs, chID)

		return nil, false
	}

	return b.pop(), true
}

// discard ends the backlog of a lost peer and returns how many messages it held.
func (o *outboxes) discard(chID byte, b *backlog) int {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.dead = true
	delete(o.backlogs, chID)

	return len(b.msgs)
}
