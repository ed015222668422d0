package mconn

import (
	"math/bits"
	"time"
)

// assembly is an unfinished message from the peer. Its buffers are at most an eighth
// larger than its payload, and 4 KiB.
type assembly struct {
	started     bool
	size        int       // bytes of payload
	first, last *buffer   // nil while no payload has arrived
	deadline    time.Time // zero until the reader next waits for data
}

// add appends a payload. It copies nothing that has arrived before, so that a message is
// never held twice while it grows.
func (as *assembly) add(payload []byte) {
	if as.first == nil {
		as.first = newBuffer(len(payload))
		as.last = as.first
	}
	as.size += len(payload)
	for payload = as.last.fill(payload); len(payload) > 0; payload = as.last.fill(payload) {
		// An eighth, rounded down to a power of two.
		eighth := 1 << bits.Len(uint(as.size)) >> 4
		as.last.next = newBuffer(max(len(payload), eighth))
		as.last = as.last.next
	}
}

// join returns the whole message in one buffer, which the caller releases. No other buffer
// is left.
func (as *assembly) join() *buffer {
	if as.first == as.last {
		whole := as.first
		as.first, as.last = nil, nil

		return whole
	}
	whole := newBuffer(as.size)
	for b := as.first; b != nil; b = b.next {
		whole.data = append(whole.data, b.data...)
	}
	as.release()

	return whole
}

// release gives all buffers back.
func (as *assembly) release() {
	for b := as.first; b != nil; {
		next := b.next
		b.release()
		b = next
	}
	as.first, as.last = nil, nil
}
