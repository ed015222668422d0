package mconn

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// assemblyGrace is the shortest delivery that extends the deadlines of unfinished
// messages (docs/wire.md §5.4).
const assemblyGrace = 50 * time.Millisecond

// assembler joins packets into messages and enforces the limits of docs/wire.md
// §5.4. The reader owns it.
type assembler struct {
	channels []*channel
	budget   int           // bytes; 0: no limit
	timeout  time.Duration // 0: no limit

	used       int       // payload bytes of unfinished messages
	unfinished int       // messages
	due        time.Time // earliest deadline of an unfinished message; zero: none
}

// add takes the next packet of a channel. It returns the message when the packet
// completes it. The message aliases either the packet or buf. The caller releases
// buf, if it is not nil, after delivering the message.
func (a *assembler) add(ch *channel, p wire.Packet) (msg []byte, buf *buffer, err error) {
	as := &ch.assembly

	have := as.size

	if limit := ch.desc.RecvMessageCapacity; len(p.Payload) > limit-have {
		return nil, nil, fmt.Errorf("%w of %d bytes", ErrMessageTooLarge, limit)
	}

	if p.EOF && have == 0 {
		a.reset(as)

		if len(p.Payload) == 0 {
			return nil, nil, ErrEmptyMessage
		}

		// If the receiver appends to its slice, that must not overwrite the next
		// packet.
		return p.Payload[:len(p.Payload):len(p.Payload)], nil, nil
	}

	if err := a.store(ch, p.Payload); err != nil || !p.EOF {
		return nil, nil, err
	}

	a.used -= as.size
	buf = as.join()
	a.reset(as)

	return buf.data, buf, nil
}

// store appends a payload to the channel's unfinished message.
func (a *assembler) store(ch *channel, payload []byte) error {
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

	as.add(payload)
	a.used += len(payload)

	return nil
}

func (a *assembler) reset(as *assembly) {
	if as.started {
		a.unfinished--
	}

	*as = assembly{}
}

// updateDeadlines is called after a delivery, before the next read. busy is how
// long the delivery took. Messages that have begun since the last call get a
// deadline; the deadlines of older ones are extended by busy, during which nothing
// was read. due becomes the earliest deadline.
func (a *assembler) updateDeadlines(now time.Time, busy time.Duration) {
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
