package lp2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// readBuffer is the buffer of each inbound data stream in bytes. Messages that fit into
// it, length included, are delivered from it.
const readBuffer = 8 * 1024

// errDelivery is wrapped by the error of a reactor that panics.
var errDelivery = errors.New("delivery failed")

// channelIn receives the messages of one channel, on the goroutine that runs libp2p's
// stream handler.
type channelIn struct {
	s         *session
	desc      compat.ChannelDescriptor
	reactor   compat.Reactor // nil: nobody serves the channel, and its messages are dropped
	stream    *stream.Stream
	br        *bufio.Reader
	delivered atomic.Uint64 // messages that the reactor has received
	bytes     atomic.Uint64 // of those messages
	large     pieces        // of a message that does not fit into br
	unmetered int           // bytes of delivered messages that the session's meter does not know yet
	timer     *time.Timer   // ends reading when a message takes too long; nil before the first that needs it
}

// handleData reads the header of a data stream and attaches the stream to its session.
func (t *Transport) handleData(ns network.Stream) {
	s, channel, err := t.readHeader(ns)
	if err != nil {
		t.logger.Debug("data stream refused", "peer", ns.Conn().RemotePeer(), "err", err)
		code := network.StreamProtocolViolation
		if errors.Is(err, places.ErrFull) {
			code = network.StreamRateLimited
		}
		_ = ns.ResetWithError(code)

		return
	}

	c, err := s.attach(channel, stream.Inbound(ns))
	if err != nil {
		_ = ns.ResetWithError(network.StreamProtocolViolation)
		if !errors.Is(err, errStopped) {
			s.fail(err)
		}

		return
	}
	c.run()
}

// readHeader reads the epoch and the channel at the beginning of a data stream. It returns
// the session of that epoch, and the channel. It does not wait for the header of a remote that
// has no session: either side activates a session before the other one can know of it, so no
// data stream comes earlier.
func (t *Transport) readHeader(ns network.Stream) (*session, byte, error) {
	if t.sessions.of(ns.Conn().RemotePeer()) == 0 {
		return nil, 0, errors.New("the remote has no session")
	}
	slot, err := t.takeSlot(t.headers, ns)
	if err != nil {
		return nil, 0, err
	}
	defer slot.leave()

	if err := ns.SetReadDeadline(time.Now().Add(t.opts.timeouts.Handshake)); err != nil {
		return nil, 0, err
	}
	var header [len(control.Epoch{}) + 1]byte
	if _, err := io.ReadFull(ns, header[:]); err != nil {
		return nil, 0, fmt.Errorf("header: %w", err)
	}
	if err := ns.SetReadDeadline(time.Time{}); err != nil {
		return nil, 0, err
	}
	if evicted := slot.Leave(); evicted {
		return nil, 0, errGaveWay
	}

	s, err := t.sessions.lookup(ns.Conn(), control.Epoch(header[:len(control.Epoch{})]))

	return s, header[len(control.Epoch{})], err
}

// attach adds the data stream of a channel. It returns errStopped when the session has
// ended, and a violation when this node has not announced the channel or the channel has a
// stream already. A channel that it has announced and does not serve is the node's own mistake: its
// messages are received as any, for the counts of a goodbye, and dropped.
func (s *session) attach(channel byte, st *stream.Stream) (*channelIn, error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	if s.ended {
		return nil, errStopped
	}
	if s.inbound[channel] != nil {
		return nil, control.Violation("second stream for channel %#02x", channel)
	}
	d, r := s.receiver(channel)
	if r == nil && !slices.Contains(s.promised, channel) {
		return nil, control.Violation("unknown channel %#02x", channel)
	}
	c := &channelIn{
		s: s, desc: d, reactor: r, stream: st, br: bufio.NewReaderSize(st, readBuffer),
		large: pieces{pool: s.t.buffers},
	}
	s.inbound[channel] = c

	return c, nil
}

// receiver returns the channel and its reactor. The reactor is nil if nobody serves the channel,
// which then has the limits of one that sets none.
func (s *session) receiver(channel byte) (compat.ChannelDescriptor, compat.Reactor) {
	for _, d := range s.channels {
		if r := s.reactors[channel]; d.ID == channel && r != nil {
			return d, r
		}
	}

	return compat.ChannelDescriptor{ID: channel}.FillDefaults(), nil
}

// run receives until the stream or the session ends. It does not read before the session
// is started: until then messages stay in the stream's window.
func (c *channelIn) run() {
	// Tells the sender that its stream was accepted.
	if err := c.stream.CloseWrite(); err != nil {
		c.failed(err)

		return
	}
	select {
	case <-c.s.started:
	case <-c.s.ctx.Done():
		return
	}

	for {
		if err := c.next(); err != nil {
			if c.timer != nil {
				c.timer.Stop()
			}
			c.failed(err)

			return
		}
	}
}

// failed ends the session for err, unless it has ended already.
func (c *channelIn) failed(err error) {
	switch {
	case errors.Is(err, errStopped):
	case errors.Is(err, errDelivery), errors.Is(err, control.ErrProtocol):
		c.s.fail(err)
	case stream.IsEnd(err):
		c.s.dataEnded(c.desc.ID)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.s.fail(c.tooLate())
	default:
		c.s.dataFailed(fmt.Errorf("receiving on channel %#02x failed: %w", c.desc.ID, err))
	}
}

// next receives and delivers one message. It returns io.EOF when the stream ends
// before it.
func (c *channelIn) next() error {
	if c.br.Buffered() == 0 { // and so it may wait
		c.meter()
	}
	if _, err := c.br.Peek(1); err != nil {
		return err
	}

	// Usually the whole message is in the buffer, and needs no timer.
	prefix, _ := c.br.Peek(c.br.Buffered())
	size, n, err := c.length(prefix)
	if err != nil {
		return err
	}
	if n > 0 && n+size <= len(prefix) {
		return c.deliverBuffered(n, size)
	}

	c.meter()
	c.startTimer()
	for n == 0 {
		if prefix, err = c.br.Peek(len(prefix) + 1); err != nil {
			return c.inside(err)
		}
		if size, n, err = c.length(prefix); err != nil {
			return err
		}
	}
	if n+size > readBuffer {
		return c.deliverLarge(n, size)
	}
	if _, err := c.br.Peek(n + size); err != nil {
		return c.inside(err)
	}
	if err := c.stopTimer(); err != nil {
		return err
	}

	return c.deliverBuffered(n, size)
}

// length returns the size of the message that follows the length at the beginning of b,
// and of that length; both are zero if b ends within it.
func (c *channelIn) length(b []byte) (size, n int, err error) {
	v, n := binary.Uvarint(b)
	switch {
	case n < 0, n == 0 && len(b) >= binary.MaxVarintLen64:
		return 0, 0, control.Violation("length of a message on channel %#02x is above 64 bits", c.desc.ID)
	case n == 0:
		return 0, 0, nil
	case v == 0:
		return 0, 0, control.Violation("empty message on channel %#02x", c.desc.ID)
	case v > uint64(c.desc.RecvMessageCapacity):
		return 0, 0, control.Violation("message of %d bytes on channel %#02x, limit %d", v, c.desc.ID, c.desc.RecvMessageCapacity)
	default:
		return int(v), n, nil
	}
}

// deliverBuffered delivers a message that is in the read buffer, behind its length of n
// bytes.
func (c *channelIn) deliverBuffered(n, size int) error {
	msg, err := c.br.Peek(n + size)
	if err != nil {
		return err
	}
	if err := c.pay(size+messageCost, false); err != nil {
		return err
	}
	if err := c.deliver(msg[n:], nil); err != nil {
		return err
	}
	_, err = c.br.Discard(n + size)

	return err
}

// deliverLarge delivers a message that does not fit into the read buffer, behind its
// length of n bytes.
func (c *channelIn) deliverLarge(n, size int) error {
	if _, err := c.br.Discard(n); err != nil {
		return err
	}
	msg, complete := &c.large, 0
	defer func() {
		c.s.assembly.release(msg.got, complete)
		msg.release()
	}()
	for msg.got < size {
		n, err := c.br.Read(msg.space(size))
		if err != nil {
			return c.inside(err)
		}
		if err := c.account(n); err != nil {
			return err
		}
		msg.filled(n)
		if err := c.pay(n, true); err != nil {
			return err
		}
	}
	if err := c.stopTimer(); err != nil {
		return err
	}
	c.s.assembly.finish(size)
	complete = size

	return c.deliver(nil, msg)
}

// account takes n bytes of the session's memory. While it waits for deliveries, which the
// remote cannot hasten, the timer stands still, and afterwards it begins anew.
func (c *channelIn) account(n int) error {
	room, err := c.s.assembly.tryTake(n)
	if room == nil {
		return err
	}
	if err := c.stopTimer(); err != nil {
		return err
	}
	if err := c.s.assembly.take(c.s.ctx, n); err != nil {
		return err
	}
	c.startTimer()

	return nil
}

// startTimer bounds the arrival of the rest of a message. Setting a deadline of the
// stream for each message would allocate.
func (c *channelIn) startTimer() {
	if timeout := c.s.t.opts.timeouts.Assembly; c.timer == nil {
		c.timer = time.AfterFunc(timeout, func() { _ = c.stream.SetReadDeadline(stream.LongAgo) })
	} else {
		c.timer.Reset(timeout)
	}
}

func (c *channelIn) stopTimer() error {
	if !c.timer.Stop() {
		return c.tooLate()
	}

	return nil
}

func (c *channelIn) tooLate() error {
	return control.TooSlow("message on channel %#02x was not complete after %s", c.desc.ID, c.s.t.opts.timeouts.Assembly)
}

// inside makes the end of the stream inside a message a violation.
func (c *channelIn) inside(err error) error {
	if stream.IsEnd(err) {
		return control.Violation("stream of channel %#02x ended inside a message", c.desc.ID)
	}

	return err
}

// deliver hands a message to the reactor and counts it: msg, or the one in pieces if these
// are not nil. It returns errStopped when the session or the peer has stopped, and an error
// that wraps errDelivery when the reactor panics.
func (c *channelIn) deliver(msg []byte, in *pieces) error {
	size, err := c.receive(msg, in)
	if err != nil {
		return err
	}
	c.unmetered += size
	c.bytes.Add(uint64(size))
	c.delivered.Add(1)
	c.s.delivery.Set()

	return nil
}

// meter adds the delivered bytes to the session's rate: once for all messages of a full buffer,
// since looking at the clock for each would cost a tenth of a message of 64 bytes.
func (c *channelIn) meter() {
	if c.unmetered > 0 {
		c.s.recv.Add(c.unmetered, time.Now())
		c.unmetered = 0
	}
}

func (c *channelIn) receive(msg []byte, in *pieces) (size int, err error) {
	c.s.deliveries.lock()
	defer c.s.deliveries.unlock()
	if c.s.ctx.Err() != nil || !c.s.peer.IsRunning() {
		return 0, errStopped
	}

	if c.reactor == nil {
		if in != nil {
			return in.got, nil
		}

		return len(msg), nil
	}
	defer func() {
		if p := recover(); p != nil {
			c.s.logger.Error("reactor panicked", "channel", c.desc.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: reactor of channel %#02x panicked: %v", errDelivery, c.desc.ID, p)
		}
	}()
	if in != nil {
		msg = in.join() // only here, so that a session has one message twice at most
	}
	c.reactor.Receive(c.desc.ID, c.s.peer, msg)

	return len(msg), nil
}
