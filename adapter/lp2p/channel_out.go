package lp2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// batchSize is how many bytes go into one write where messages are small: what
// fits into one yamux frame and one Noise message.
const batchSize = maxFrame - yamuxHeader - 1024

const yamuxHeader = 12

// channelOut sends the messages of one channel in one goroutine, which begins
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
	full      uint64 // messages that found no place
	waiters   []*waiter
	recent    flow.Recent
}

// share is that of now. It changes when the channel's goroutine writes, and with time.
func (c *channelOut) share() share {
	c.o.mtx.Lock()
	defer c.o.mtx.Unlock()

	return share{recent: c.recent, priority: c.desc.Priority}
}

func (o *outbox) begin() { o.flow.Begin(time.Now()) }

// refuse accepts no more messages. The channel it returns closes when all
// accepted ones are written.
func (o *outbox) refuse() <-chan struct{} {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.stopAccepting()

	return o.drained
}

// stopAccepting is refuse for a caller who holds mtx.
func (o *outbox) stopAccepting() {
	if o.refusing {
		return
	}
	o.refusing = true
	o.dismiss()
	if o.messages == 0 {
		close(o.drained)
	}
}

// close drops what is queued. The session has ended.
func (o *outbox) close() {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.stopAccepting()
	o.closed = true
	for _, c := range o.order {
		c.queue = nil
	}
}

// streams returns the streams that are open.
func (o *outbox) streams() []*stream.Stream {
	o.mtx.Lock()
	defer o.mtx.Unlock()

	var streams []*stream.Stream
	for _, c := range o.order {
		if c.stream != nil {
			streams = append(streams, c.stream)
		}
	}

	return streams
}

// closeWrite ends the streams after everything was written.
func (o *outbox) closeWrite() {
	for _, s := range o.streams() {
		_ = s.CloseWrite() // if it fails the remote sees the session end instead
	}
}

// sent counts the messages written, by channel in ascending order.
func (o *outbox) sent() []control.ChannelCount {
	o.mtx.Lock()
	defer o.mtx.Unlock()

	var counts []control.ChannelCount
	for _, c := range o.order {
		if c.sent > 0 {
			counts = append(counts, control.ChannelCount{Channel: c.desc.ID, Messages: c.sent})
		}
	}
	slices.SortFunc(counts, func(a, b control.ChannelCount) int { return int(a.Channel) - int(b.Channel) })

	return counts
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

// take moves messages for about one write from the queue to batch: at least one
// if there is any.
func (c *channelOut) take(batch [][]byte) [][]byte {
	o := c.o
	o.mtx.Lock()
	defer o.mtx.Unlock()

	size, n := 0, 0
	for n < len(c.queue) && size < batchSize {
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

// written accounts for messages that are handed to the stream.
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

// write sends the messages, small ones together, large ones without copying all
// of them.
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
	if cap(buf)-len(buf) < protowire.SizeBytes(len(msg)) && len(buf) > batchSize/2 {
		if err := c.put(buf); err != nil {
			return nil, err
		}
		buf = buf[:0]
	}

	buf = protowire.AppendVarint(buf, uint64(len(msg)))
	n := min(len(msg), cap(buf)-len(buf))
	buf = append(buf, msg[:n]...)
	if n == len(msg) {
		return buf, nil
	}

	if err := c.put(buf); err != nil {
		return nil, err
	}
	for rest := range slices.Chunk(msg[n:], batchSize) {
		if err := c.put(rest); err != nil {
			return nil, err
		}
	}

	return buf[:0], nil
}

// put writes what fits into one frame, when it is the channel's turn.
func (c *channelOut) put(p []byte) error {
	o := c.o
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

// open opens the stream, unless the session ends meanwhile. The remote decides how
// many streams it lets us have: one more may wait for as long as the remote likes.
func (c *channelOut) open() error {
	timeout := c.o.s.t.opts.timeouts.Handshake
	ctx, cancel := context.WithTimeout(c.o.s.ctx, timeout)
	defer cancel()
	s, err := stream.Open(ctx, c.o.s.conn, ChannelProtocol)
	switch {
	case err == nil:
	case ctx.Err() != nil && c.o.s.ctx.Err() == nil:
		return fmt.Errorf("%s lets no stream be opened within %s: %w", c.o.s.peer.ID(), timeout, err)
	default:
		return err
	}

	if !c.adopt(s) {
		// It may wait for the connection: without the lock.
		return errors.Join(errStopped, s.Reset())
	}

	return nil
}

// adopt makes the stream the channel's, unless the session has ended.
func (c *channelOut) adopt(s *stream.Stream) bool {
	c.o.mtx.Lock()
	defer c.o.mtx.Unlock()
	if c.o.closed {
		return false
	}
	c.stream = s

	return true
}

// watch waits for the remote to let the stream in, which it shows by closing its
// side, or for its refusal, which would otherwise go unnoticed until the next
// write.
func (c *channelOut) watch() {
	var b [1]byte
	switch n, err := c.stream.Read(b[:]); {
	case n > 0:
		c.o.s.fail(control.Violation("data on our stream of channel %#02x", c.desc.ID))
	case !stream.IsEnd(err):
		c.o.s.dataFailed(fmt.Errorf("stream of channel %#02x failed: %w", c.desc.ID, err))
	}
}
