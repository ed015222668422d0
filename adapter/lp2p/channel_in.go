package lp2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	// dataHeaderSize is the epoch and the channel in front of a data stream.
	dataHeaderSize = len(control.Epoch{}) + 1
	// readBuffer is the buffer of each inbound data stream in bytes. Messages that
	// fit are delivered from it.
	readBuffer = 8 * 1024
)

// channelIn receives the messages of one channel on the goroutine on which libp2p
// hands over the stream.
type channelIn struct {
	s         *session
	desc      compat.ChannelDescriptor
	reactor   compat.Reactor
	stream    *stream.Stream
	br        *bufio.Reader
	delivered atomic.Uint64 // messages that the reactor has received
	bytes     atomic.Uint64 // of those messages
	partial   bool          // a message has begun
	timer     *time.Timer   // ends reading at the deadline; nil before the first one
}

// handleData reads the header of a data stream and lets it into its session.
func (t *Transport) handleData(ns network.Stream) {
	if t.enter() != nil {
		_ = ns.ResetWithError(network.StreamShutdown)

		return
	}
	defer t.tasks.Done()

	s, channel, err := t.readHeader(ns)
	if err != nil {
		t.logger.Debug("data stream refused", "peer", ns.Conn().RemotePeer(), "err", err)
		_ = ns.ResetWithError(network.StreamProtocolViolation)

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

// readHeader returns the session and the channel that a data stream names.
func (t *Transport) readHeader(ns network.Stream) (*session, byte, error) {
	if !t.headers.take(ns.Conn()) {
		return nil, 0, errors.New("too many data streams without a header")
	}
	defer t.headers.giveBack(ns.Conn())

	if err := ns.SetReadDeadline(time.Now().Add(t.opts.timeouts.Handshake)); err != nil {
		return nil, 0, err
	}
	var header [dataHeaderSize]byte
	if _, err := io.ReadFull(ns, header[:]); err != nil {
		return nil, 0, fmt.Errorf("header: %w", err)
	}
	if err := ns.SetReadDeadline(time.Time{}); err != nil {
		return nil, 0, err
	}

	s, err := t.sessions.lookup(ns.Conn(), control.Epoch(header[:dataHeaderSize-1]))

	return s, header[dataHeaderSize-1], err
}

// attach adds the data stream of a channel. It returns errStopped when the
// session has ended, and a violation for a channel that we do not have or whose
// stream is there already.
func (s *session) attach(channel byte, st *stream.Stream) (*channelIn, error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	if s.ended {
		return nil, errStopped
	}
	if s.inbound[channel] != nil {
		return nil, control.Violation("second stream for channel %#02x", channel)
	}
	for _, d := range s.channels {
		if r := s.reactors[channel]; d.ID == channel && r != nil {
			c := &channelIn{s: s, desc: d, reactor: r, stream: st, br: bufio.NewReaderSize(st, readBuffer)}
			s.inbound[channel] = c

			return c, nil
		}
	}

	return nil, control.Violation("unknown channel %#02x", channel)
}

// run receives until the stream or the session ends. Until the session is
// started the stream is parked: what arrives stays in its window.
func (c *channelIn) run() {
	// Tells the sender that its stream was let in.
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
	if _, err := c.br.Peek(1); err != nil {
		return err
	}

	// The usual case needs neither a deadline nor a copy.
	there, _ := c.br.Peek(c.br.Buffered())
	size, n := binary.Uvarint(there)
	if n > 0 && size <= uint64(len(there)-n) {
		if err := c.check(size); err != nil {
			return err
		}

		return errors.Join(c.deliver(there[n:n+int(size)]), c.discard(n+int(size)))
	}

	if err := c.begun(); err != nil {
		return err
	}
	size, err := c.readSize()
	if err != nil {
		return err
	}
	if size <= readBuffer {
		return c.nextBuffered(int(size))
	}

	return c.nextLarge(int(size))
}

// readSize reads and checks the length of a message that has begun.
func (c *channelIn) readSize() (uint64, error) {
	prefix := make([]byte, 0, binary.MaxVarintLen64) // on the stack
	for len(prefix) < cap(prefix) {
		b, err := c.br.ReadByte()
		if err != nil {
			return 0, c.inside(err)
		}
		prefix = append(prefix, b)
		if b < 0x80 {
			break
		}
	}

	size, n := binary.Uvarint(prefix)
	if n <= 0 {
		return 0, control.Violation("length of a message on channel %#02x is above 64 bits", c.desc.ID)
	}

	return size, c.check(size)
}

func (c *channelIn) check(size uint64) error {
	switch {
	case size == 0:
		return control.Violation("empty message on channel %#02x", c.desc.ID)
	case size > uint64(c.desc.RecvMessageCapacity):
		return control.Violation("message of %d bytes on channel %#02x, limit %d", size, c.desc.ID, c.desc.RecvMessageCapacity)
	default:
		return nil
	}
}

// nextBuffered delivers a message that fits into the read buffer.
func (c *channelIn) nextBuffered(size int) error {
	msg, err := c.br.Peek(size)
	if err != nil {
		return c.inside(err)
	}
	if err := c.complete(); err != nil {
		return err
	}

	return errors.Join(c.deliver(msg), c.discard(size))
}

// nextLarge delivers a message that is assembled in a buffer of its own, which
// grows as the bytes arrive.
func (c *channelIn) nextLarge(size int) error {
	buf := c.s.t.buffers.get(1)
	defer func() { c.s.t.buffers.put(buf) }()

	got, complete := 0, 0
	defer func() { c.s.assembly.release(got, complete) }()
	for got < size {
		if got == len(*buf) {
			larger := c.s.t.buffers.get(2 * len(*buf))
			copy(*larger, *buf)
			c.s.t.buffers.put(buf)
			buf = larger
		}

		n, err := c.br.Read((*buf)[got:min(size, len(*buf))])
		if err != nil {
			return c.inside(err)
		}
		if err := c.account(n); err != nil {
			return err
		}
		got += n
	}
	if err := c.complete(); err != nil {
		return err
	}
	c.s.assembly.finish(got)
	complete = got

	return c.deliver((*buf)[:size])
}

// account takes n bytes of the session's memory. While it waits for deliveries to
// make room, the remote is not to blame: the deadline of the message begins anew.
func (c *channelIn) account(n int) error {
	ok, room := c.s.assembly.tryTake(n)
	switch {
	case !ok:
		return errAssembly
	case room == nil:
		return nil
	}

	if err := c.s.assembly.waitRoom(c.s.ctx, n, room); err != nil {
		return err
	}

	return c.begun()
}

// begun starts the time of a message of which a part is there, or starts it anew.
// Setting the deadline of the stream for each message would allocate.
func (c *channelIn) begun() error {
	if c.timer == nil {
		c.timer = time.AfterFunc(c.s.t.opts.timeouts.Assembly, func() { _ = c.stream.SetReadDeadline(stream.LongAgo) })
	} else {
		if c.partial && !c.timer.Stop() {
			return c.tooLate()
		}
		c.timer.Reset(c.s.t.opts.timeouts.Assembly)
	}
	c.partial = true

	return nil
}

// complete ends the time of the message.
func (c *channelIn) complete() error {
	if !c.timer.Stop() {
		return c.tooLate()
	}
	c.partial = false

	return nil
}

func (c *channelIn) tooLate() error {
	return control.Violation("message on channel %#02x was not complete after %s", c.desc.ID, c.s.t.opts.timeouts.Assembly)
}

// inside turns the end of the stream inside a message into a violation.
func (c *channelIn) inside(err error) error {
	if stream.IsEnd(err) {
		return control.Violation("stream of channel %#02x ended inside a message", c.desc.ID)
	}

	return err
}

func (c *channelIn) discard(n int) error {
	_, err := c.br.Discard(n)

	return err
}

// errDelivery is wrapped by the error of a reactor that panics.
var errDelivery = errors.New("delivery failed")

func (c *channelIn) deliver(msg []byte) error {
	if err := c.s.receive(c.desc.ID, c.reactor, msg); err != nil {
		return err
	}
	c.s.recv.Add(len(msg), time.Now())
	c.bytes.Add(uint64(len(msg)))
	c.delivered.Add(1)
	c.s.delivery.Set()

	return nil
}
