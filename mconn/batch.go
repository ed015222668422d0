package mconn

import "sync"

// maxBatch is the size in bytes at which a batch of packets is written, unless the
// connection says less. An urgent message waits for the batch before it, so a larger
// batch would delay it.
const maxBatch = 32 << 10

// sizedWriter is a net.Conn that says how many bytes to write at a time, since it knows
// how fast its path is. secretconn.SecretConnection is one.
type sizedWriter interface{ WriteSize() int }

// framedWriter is a net.Conn that sends frames of one size, however little of a frame a
// Write fills. secretconn.SecretConnection is one.
type framedWriter interface{ FrameSize() int }

var batchPool = sync.Pool{New: func() any {
	buf := make([]byte, 0, maxBatch+2048)

	return &buf
}}

// batch is the packets of the next write. What would fill only a part of a frame is held
// back for the batch after it, if the peer could do nothing with it yet: if no message
// ends there, and no ping or pong. So it costs no message any time. The packets of the
// message that is held back in part follow as soon as they may be sent.
type batch struct {
	frame  int     // bytes of a frame; 1: the net.Conn has none
	rest   []byte  // what is held back, less than a frame
	pooled *[]byte // where buf is from
	buf    []byte
	held   int // bytes at the begin of buf that the batch before held back
	ended  int // bytes of buf until the end of the last whole message
}

func newBatch(conn any) batch {
	b := batch{frame: 1}
	if framed, ok := conn.(framedWriter); ok {
		b.frame = max(1, framed.FrameSize())
	}

	return b
}

// begin begins a batch with what the one before held back.
func (b *batch) begin() {
	b.pooled = batchPool.Get().(*[]byte)
	b.buf = append((*b.pooled)[:0], b.rest...)
	b.held, b.ended = len(b.buf), 0
}

// appended returns how many bytes were appended since begin.
func (b *batch) appended() int { return len(b.buf) - b.held }

// markEnd notes that the last packet needs no other one.
func (b *batch) markEnd() { b.ended = len(b.buf) }

// ready returns what is to be written now.
func (b *batch) ready() []byte {
	whole := len(b.buf) - len(b.buf)%b.frame
	if b.ended <= whole {
		return b.buf[:whole]
	}

	return b.buf
}

// cost returns what n bytes count for the send rate: whole frames, as the peer counts them
// when it reads. If it counted more than this side does, it would be the slower one, and
// all messages would wait in its socket.
func (b *batch) cost(n int) int { return (n + b.frame - 1) / b.frame * b.frame }

// end ends the batch, of which n bytes were written, and holds back the others.
func (b *batch) end(n int) {
	b.rest = append(b.rest[:0], b.buf[n:]...)
	*b.pooled = b.buf[:0]
	batchPool.Put(b.pooled)
	b.pooled, b.buf = nil, nil
}
