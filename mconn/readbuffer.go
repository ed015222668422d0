package mconn

import "time"

const (
	minReadBuffer = 4 << 10  // bytes that an idle connection holds
	maxReadBuffer = 64 << 10 // bytes, unless one packet may be larger

	// readBufferHold is how long a large buffer is kept after it last held more
	// than minReadBuffer bytes. The size is checked after each read; on an idle
	// connection the packets of keep-alive cause one.
	readBufferHold = 10 * time.Second
)

// readBuffer holds data that was read and not yet decoded. Packets are decoded in
// place. It grows when reads fill it and shrinks after readBufferHold.
type readBuffer struct {
	buf       []byte
	r, w      int // buf[r:w] holds the data
	max       int
	wantMore  bool      // the last read filled the buffer
	lastLarge time.Time // when it last held more than minReadBuffer bytes
}

func newReadBuffer(maxPacket int, now time.Time) readBuffer {
	return readBuffer{buf: make([]byte, minReadBuffer), max: max(maxReadBuffer, maxPacket), lastLarge: now}
}

// pending returns the data that was not consumed. The slice is valid until the
// next call of space.
func (b *readBuffer) pending() []byte { return b.buf[b.r:b.w] }

// consume drops the first n bytes of pending.
func (b *readBuffer) consume(n int) { b.r += n }

// space returns the slice to read into, of at least one byte and at most limit.
func (b *readBuffer) space(limit int) []byte {
	size := len(b.buf)
	left := b.w - b.r

	if (b.wantMore || left == size) && size < b.max {
		size = min(2*size, b.max)
	}

	if size != len(b.buf) {
		b.resize(size)
	} else if b.r > 0 {
		copy(b.buf, b.pending())
		b.r, b.w = 0, left
	}

	return b.buf[b.w : b.w+min(limit, size-left)]
}

func (b *readBuffer) resize(size int) {
	buf := make([]byte, size)
	b.w = copy(buf, b.pending())
	b.buf, b.r = buf, 0
}

// filled notes that n bytes were read into a space of size bytes.
func (b *readBuffer) filled(n, size int, now time.Time) {
	b.w += n
	b.wantMore = n == size && b.w == len(b.buf)

	if b.w > minReadBuffer {
		b.lastLarge = now
	}
}

// shrink replaces a large buffer that was not needed for readBufferHold.
func (b *readBuffer) shrink(now time.Time) {
	if len(b.buf) > minReadBuffer && b.w-b.r < minReadBuffer && now.Sub(b.lastLarge) >= readBufferHold {
		b.wantMore = false
		b.resize(minReadBuffer)
	}
}
