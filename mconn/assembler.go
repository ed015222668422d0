package mconn

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// assemblyGrace is how long delivering must take to be credited to the messages
// that a peer has not finished (docs/wire.md §5.4).
const assemblyGrace = 50 * time.Millisecond

// assembler joins packets to messages and keeps the limits of docs/wire.md §5.4.
// The reader owns it.
type assembler struct {
	channels []*channel
	budget   int           // bytes; 0: no limit
	timeout  time.Duration // 0: no limit

	used       int // payload bytes of unfinished messages
	unfinished int // messages
	due        time.Time
}

// add takes the next piece of a channel. It returns the message when the piece
// was its last: either a part of the packet, or the content of buf, which the
// caller releases when the message was delivered.
func (a *assembler) add(ch *channel, p wire.Packet) (msg []byte, buf *buffer, err error) {
	as := &ch.assembly

	have := 0
	if as.buf != nil {
		have = len(as.buf.data)
	}

	if limit := ch.desc.RecvMessageCapacity; len(p.Payload) > limit-have {
		return nil, nil, fmt.Errorf("%w of %d bytes", ErrMessageTooLarge, limit)
	}

	if p.EOF && have == 0 {
		a.forget(as)

		if len(p.Payload) == 0 {
			return nil, nil, ErrEmptyMessage
		}

		// The receiver may append to its slice; that must not reach what follows.
		return p.Payload[:len(p.Payload):len(p.Payload)], nil, nil
	}

	if err := a.keep(ch, p.Payload); err != nil || !p.EOF {
		return nil, nil, err
	}

	buf = as.buf
	a.used -= len(buf.data)
	a.forget(as)

	return buf.data, buf, nil
}

// keep stores a piece until its message is complete.
func (a *assembler) keep(ch *channel, payload []byte) error {
	as := &ch.assembly
	if !as.started {
		as.started = true
		a.unfinished++
	}

	if a.budget > 0 && len(payload) > a.budget-a.used {
		return fmt.Errorf("%w of %d bytes", ErrRecvBudget, a.budget)
	}

	if len(payload) == 0 {
		return nil
	}

	if as.buf == nil {
		// A hint of the descriptor, but nothing that one small packet could
		// use to hold much memory.
		as.buf = newBuffer(max(len(payload), min(ch.desc.RecvBufferCapacity, firstBuffer)))
	}

	as.buf = as.buf.add(payload)
	a.used += len(payload)

	return nil
}

func (a *assembler) forget(as *assembly) {
	if as.started {
		a.unfinished--
	}

	*as = assembly{}
}

// settle is called when delivering is over and reading goes on. It starts the
// time of messages begun since, credits busy, the time for which nothing was
// read, to the older ones, and finds out when the first is due.
func (a *assembler) settle(now time.Time, busy time.Duration) {
	a.due = time.Time{}
	if a.timeout == 0 || a.unfinished == 0 {
		return
	}

	for _, ch := range a.channels {
		as := &ch.assembly

		switch {
		case !as.started:
			continue
		case as.deadline.IsZero():
			as.deadline = now.Add(a.timeout)
		case busy >= assemblyGrace:
			as.deadline = as.deadline.Add(busy)
		}

		a.due = earlier(a.due, as.deadline)
	}
}

// overdue returns a channel whose message is overdue, or nil.
func (a *assembler) overdue(now time.Time) *channel {
	if a.due.IsZero() || now.Before(a.due) {
		return nil
	}

	for _, ch := range a.channels {
		if ch.assembly.started && ch.assembly.deadline.Equal(a.due) {
			return ch
		}
	}

	return nil
}
