package mconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// reader is the state of the reader goroutine.
type reader struct {
	c         *MConnection
	pace      pacer
	wire      wireCounter // nil: conn reads what it returns
	wireRead  int64       // what wire has counted so far
	buf       readBuffer
	assembler assembler
	deadline  time.Time // of the net.Conn for reading; zero: none
}

// wireCounter is a net.Conn that reads more bytes than it returns, as one that opens sealed
// frames.
type wireCounter interface {
	BytesRead() int64
}

func newReader(c *MConnection, now time.Time) *reader {
	r := &reader{
		c:    c,
		pace: newPacer(recvAllowance(c.config.RecvRate), c.maxPacket, c.config.FlushThrottle, now),
		buf:  newReadBuffer(c.maxPacket, now),
		assembler: assembler{
			channels: c.channels, budget: c.config.MaxRecvBufferBytes, timeout: c.config.RecvAssemblyTimeout,
		},
	}
	if r.wire, _ = c.conn.(wireCounter); r.wire != nil {
		r.wireRead = r.wire.BytesRead()
	}

	return r
}

// recvAllowance returns the bytes a second that are read at a RecvRate. They are more, by
// more than the 2 % that sealing adds, so that a peer which sends at the same rate does not
// fill the socket: an urgent message would wait there, where nothing can overtake.
func recvAllowance(rate int64) int64 { return rate + min(rate/32, math.MaxInt64-rate) }

// run reads and delivers until the connection ends.
func (r *reader) run() error {
	// The caller may have left a deadline on the conn for the handshake.
	if err := r.c.conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("mconn: read deadline: %w", err)
	}

	for {
		if err := r.armReadDeadline(); err != nil {
			return err
		}

		room, err := r.awaitPace()
		if err != nil {
			return err
		}

		readErr := r.read(room)

		now := time.Now()
		r.c.activity.beginDelivery(now)
		err = r.deliverPackets()

		end := time.Now()
		r.c.activity.endDelivery(end.Sub(now))
		r.buf.shrink(end)

		if err != nil {
			return err
		}

		r.assembler.updateDeadlines(end, end.Sub(now))

		if readErr != nil {
			if err := r.readError(readErr, end); err != nil {
				return err
			}
		}
	}
}

// awaitPace waits until the receive rate permits reading and returns how many
// bytes to read at most.
func (r *reader) awaitPace() (int, error) {
	for {
		now := time.Now()
		if allowed := r.pace.allowance(now); allowed > 0 {
			return max(allowed, r.c.maxPacket), nil
		}

		if task.WaitFor(r.c.Quit(), r.pace.opens().Sub(now)) {
			return 0, errStopped
		}
	}
}

// armReadDeadline sets the read deadline to the earliest deadline of an unfinished
// message.
func (r *reader) armReadDeadline() error {
	if r.deadline.Equal(r.assembler.due) {
		return nil
	}

	r.deadline = r.assembler.due
	if err := r.c.conn.SetReadDeadline(r.deadline); err != nil {
		return fmt.Errorf("mconn: read deadline: %w", err)
	}

	return nil
}

// read reads at least one byte and at most room bytes.
func (r *reader) read(room int) error {
	space := r.buf.space(room)
	n, err := wire.ReadSome(r.c.conn, space)

	now := time.Now()
	r.buf.filled(n, len(space), now)
	r.pace.spend(r.cost(n))
	r.c.received.Add(n, now)

	if n > 0 {
		r.c.activity.heard.Store(int64(now.Sub(r.c.activity.start)))
	}

	return err
}

// cost returns what a read of n bytes counts for the receive rate: the bytes that came
// over the wire for it, so that many frames of few bytes are not cheaper than full ones.
func (r *reader) cost(n int) int {
	if r.wire == nil {
		return n
	}

	before := r.wireRead
	r.wireRead = r.wire.BytesRead()

	return int(r.wireRead - before)
}

// deliverPackets handles all complete packets in the buffer.
func (r *reader) deliverPackets() error {
	for {
		body, size, err := nextPacket(r.buf.pending(), r.c.maxPacket)
		if err != nil {
			return fmt.Errorf("mconn: packet: %w", err)
		}

		if size == 0 {
			return nil
		}

		packet, err := wire.DecodePacket(body)
		if err != nil {
			return fmt.Errorf("mconn: packet: %w", err)
		}

		r.buf.consume(size)
		r.c.activity.packetReceived()

		if err := r.handle(packet); err != nil {
			return err
		}
	}
}

// nextPacket returns the body of the first packet in data and the size of the
// packet with its prefix. The size is 0 when the packet is incomplete. A packet
// above limit bytes is refused once its prefix has arrived.
func nextPacket(data []byte, limit int) (body []byte, size int, err error) {
	length, prefix := binary.Uvarint(data)

	switch {
	case prefix < 0:
		return nil, 0, &wire.DecodeError{Message: "packet", Field: "length prefix", Reason: "above 64 bits"}
	case prefix == 0:
		return nil, 0, nil
	case prefix > limit || length > uint64(limit-prefix):
		return nil, 0, fmt.Errorf("%w: body of %d bytes announced, limit %d", wire.ErrTooLarge, length, limit)
	}

	size = prefix + int(length)
	if size > len(data) {
		return nil, 0, nil
	}

	return data[prefix:size:size], size, nil
}

func (r *reader) handle(packet wire.Packet) error {
	switch packet.Kind {
	case wire.PacketPing:
		r.c.activity.pinged.Store(true)
		r.c.wake.Set()

		return nil
	case wire.PacketPong:
		r.c.activity.ponged.Store(true)

		return nil
	}

	ch := r.c.byID[packet.Channel]
	if ch == nil && slices.Contains(r.c.unserved, packet.Channel) {
		return nil
	}
	if ch == nil {
		return &ChannelError{Channel: packet.Channel, Err: ErrUnknownChannel}
	}

	msg, buf, err := r.assembler.add(ch, packet)
	if err != nil {
		return &ChannelError{Channel: packet.Channel, Err: err}
	}

	if msg == nil {
		return nil
	}

	if r.c.stopped.Load() {
		return errStopped
	}

	if err := r.deliver(packet.Channel, msg); err != nil {
		return &ChannelError{Channel: packet.Channel, Err: err}
	}

	if buf != nil {
		buf.release()
	}

	return nil
}

// deliver calls onReceive and returns a panic as a PanicError.
func (r *reader) deliver(chID byte, msg []byte) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()

	r.c.onReceive(chID, msg)

	return nil
}

// readError returns the error with which the connection ends. It returns nil when
// the read deadline passed and no message is overdue: this goroutine was held up just
// then, and updateDeadlines has extended the deadlines by that time.
func (r *reader) readError(err error, now time.Time) error {
	if !r.deadline.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) {
		ch := r.assembler.overdue(now)
		if ch == nil {
			return nil
		}

		return &ChannelError{Channel: ch.desc.ID, Err: ErrAssemblyTimeout}
	}

	if errors.Is(err, io.EOF) && len(r.buf.pending()) > 0 {
		err = io.ErrUnexpectedEOF
	}

	return fmt.Errorf("mconn: read: %w", err)
}
