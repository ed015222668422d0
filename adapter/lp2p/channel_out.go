package lp2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// batchSize is how many bytes of small messages go into one write: what fits into one
// yamux frame and one Noise message.
const batchSize = maxFrame - yamuxHeader - 1024

// channelOut sends the messages of one channel on a goroutine of its own, which starts
// with the first message.
type channelOut struct {
	o    *outbox
	desc compat.ChannelDescriptor
	wake task.Signal // there is a message to send

	// Guarded by outbox.mtx.
	queue     [][]byte
	running   bool
	stream    *stream.Stream
	sent      uint64 // messages written
	sentBytes uint64 // of those messages
	full      uint64 // messages that found no room
	waiters   []*waiter
	recent    flow.Recent
}

// run writes the channel's messages until the session ends.
func (c *channelOut) run() {
	var batch [][]byte
	for {
		select {
		case <-c.wake.C():
		case <-c.o.s.ctx.Done():
			return
		}

		for batch = c.take(batch[:0]); len(batch) > 0; batch = c.take(batch[:0]) {
			if err := c.write(batch); err != nil {
				c.o.s.dataFailed(fmt.Errorf("sending on channel %#02x failed: %w", c.desc.ID, err))

				return
			}
			c.written(batch)
			clear(batch)
		}
	}
}

// take moves messages for about one write from the queue to batch, at least one if there
// is any.
func (c *channelOut) take(batch [][]byte) [][]byte {
	o := c.o
	o.mtx.Lock()
	defer o.mtx.Unlock()

	size, n, most := 0, 0, o.below.frame()
	for n < len(c.queue) && size < most {
		size += len(c.queue[n])
		n++
	}
	if n == 0 {
		return batch
	}
	batch = append(batch, c.queue[:n]...)
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	o.admit()

	return batch
}

// written counts messages that were handed to the stream.
func (c *channelOut) written(batch [][]byte) {
	size := 0
	for _, msg := range batch {
		size += len(msg)
	}
	o := c.o
	o.flow.Add(size, time.Now())
	o.mtx.Lock()
	defer o.mtx.Unlock()

	c.sent += uint64(len(batch))
	c.sentBytes += uint64(size)
	o.bytes -= size
	o.messages -= len(batch)
	o.admit()
	if o.refusing && o.messages == 0 && !o.closed {
		close(o.drained)
	}
}

// write sends the messages. It joins small ones into one write, and copies only the
// beginning of large ones.
func (c *channelOut) write(batch [][]byte) error {
	pooled := c.o.pool.Get().(*[]byte)
	defer c.o.pool.Put(pooled)
	buf := (*pooled)[:0]

	fresh := c.stream == nil // only this goroutine sets it
	if fresh {
		if err := c.open(); err != nil {
			return err
		}
		buf = append(append(buf, c.o.s.key.epoch[:]...), c.desc.ID)
	}

	var err error
	for _, msg := range batch {
		if buf, err = c.add(buf, msg); err != nil {
			return err
		}
	}
	if len(buf) > 0 {
		if err := c.put(buf); err != nil {
			return err
		}
	}
	if fresh {
		c.o.s.t.tasks.Go(c.watch)
	}

	return nil
}

// add appends one message to buf, and writes buf whenever it is full.
func (c *channelOut) add(buf, msg []byte) ([]byte, error) {
	frame := c.o.below.frame()
	if frame-len(buf) < protowire.SizeBytes(len(msg)) && len(buf) > frame/2 {
		if err := c.put(buf); err != nil {
			return nil, err
		}
		buf = buf[:0]
	}

	buf = protowire.AppendVarint(buf, uint64(len(msg)))
	n := min(len(msg), max(0, frame-len(buf)))
	buf = append(buf, msg[:n]...)
	if n == len(msg) {
		return buf, nil
	}

	if err := c.put(buf); err != nil {
		return nil, err
	}
	for rest := msg[n:]; len(rest) > 0; rest = rest[n:] {
		n = min(len(rest), c.o.below.frame())
		if err := c.put(rest[:n]); err != nil {
			return nil, err
		}
	}

	return buf[:0], nil
}

// put writes what fits into one frame, as soon as the send rate and the backlog allow it.
func (c *channelOut) put(p []byte) error {
	o := c.o
	if err := o.gate.pass(o.s.ctx, c, len(p)); err != nil {
		return err
	}
	if err := o.below.await(o.s.ctx, c, len(p)); err != nil {
		return err
	}
	if _, err := c.stream.Write(p); err != nil {
		return err
	}
	o.mtx.Lock()
	defer o.mtx.Unlock()
	c.recent.Add(time.Now(), len(p))

	return nil
}

// open opens the stream, unless the session ends meanwhile. A remote that allows no more
// streams can delay it, up to the handshake timeout.
func (c *channelOut) open() error {
	s := c.o.s
	timeout := s.t.opts.timeouts.Handshake
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	st, err := stream.Open(ctx, s.conn, ChannelProtocol)
	switch {
	case err == nil:
	case ctx.Err() != nil && s.ctx.Err() == nil:
		return fmt.Errorf("%s lets no stream be opened within %s: %w", s.peer.ID(), timeout, err)
	default:
		return err
	}

	c.o.mtx.Lock()
	closed := c.o.closed
	if !closed {
		c.stream = st
	}
	c.o.mtx.Unlock()
	if closed {
		return errors.Join(errStopped, st.Reset()) // without the lock: it may wait for the connection
	}

	return nil
}

// watch waits until the remote accepts the stream, which it shows by closing its side, or
// refuses it: a refusal would otherwise go unnoticed until the next write.
func (c *channelOut) watch() {
	var b [1]byte
	switch n, err := c.stream.Read(b[:]); {
	case n > 0:
		c.o.s.fail(control.Violation("data on our stream of channel %#02x", c.desc.ID))
	case !stream.IsEnd(err):
		c.o.s.dataFailed(fmt.Errorf("stream of channel %#02x failed: %w", c.desc.ID, err))
	}
}

// share is the channel's claim to write next.
func (c *channelOut) share() share {
	c.o.mtx.Lock()
	defer c.o.mtx.Unlock()

	return share{recent: c.recent, priority: c.desc.Priority}
}
