package simnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes may be under way or unread, like the buffers of both kernels.
const window = 256 << 10

// pipe is one direction of a connection.
type pipe struct {
	latency  time.Duration
	from, to *counters

	mtx     sync.Mutex
	changed sync.Cond
	queue   []segment
	size    int       // bytes in the queue
	ended   bool      // the writer has closed
	endAt   time.Time // when the reader notices
	// The reader has closed, which the writer notices at abandonedAt.
	abandoned   bool
	abandonedAt time.Time
	isCut       bool // no data arrives any more

	readDeadline, writeDeadline deadline
}

// segment is the data of one call of Write.
type segment struct {
	at   time.Time // when it arrives
	data []byte
	read bool // it was read in part
}

// deadline is the time at which a wait ends. Zero means never.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed(now time.Time) bool { return !d.at.IsZero() && !now.Before(d.at) }

func newPipe(latency time.Duration, from, to *counters) *pipe {
	p := &pipe{latency: latency, from: from, to: to}
	p.changed.L = &p.mtx

	return p
}

func (p *pipe) read(buf []byte) (int, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for {
		now := time.Now()
		switch {
		case p.abandoned:
			return 0, net.ErrClosed
		case p.readDeadline.passed(now):
			return 0, os.ErrDeadlineExceeded
		case len(buf) == 0:
			return 0, nil
		case p.isCut:
			p.changed.Wait()
		case len(p.queue) > 0:
			if wait := p.queue[0].at.Sub(now); wait > 0 {
				p.waitFor(wait)
			} else {
				return p.take(buf, now), nil
			}
		case p.ended:
			if wait := p.endAt.Sub(now); wait > 0 {
				p.waitFor(wait)
			} else {
				return 0, io.EOF
			}
		default:
			p.changed.Wait()
		}
	}
}

// take copies data that has arrived into buf.
func (p *pipe) take(buf []byte, now time.Time) (n int) {
	for n < len(buf) && len(p.queue) > 0 && !p.queue[0].at.After(now) {
		head := &p.queue[0]
		if !head.read {
			head.read = true
			p.to.writesReceived.Add(1)
		}
		m := copy(buf[n:], head.data)
		n += m
		if head.data = head.data[m:]; len(head.data) == 0 {
			p.queue[0] = segment{}
			p.queue = p.queue[1:]
		}
	}
	if len(p.queue) == 0 {
		p.queue = nil // most connections are idle most of the time
	}
	p.size -= n
	p.to.bytesReceived.Add(uint64(n))
	p.changed.Broadcast()

	return n
}

func (p *pipe) write(buf []byte) (n int, err error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for {
		now := time.Now()
		switch {
		case p.ended:
			return n, net.ErrClosed
		case p.writeDeadline.passed(now):
			return n, os.ErrDeadlineExceeded
		case !p.isCut && p.abandoned && !now.Before(p.abandonedAt):
			return n, os.NewSyscallError("write", syscall.EPIPE)
		case len(buf) == 0:
			return n, nil
		case p.size >= window && p.abandoned && !p.isCut:
			p.waitFor(p.abandonedAt.Sub(now))
		case p.size >= window:
			p.changed.Wait()
		default:
			m := min(len(buf), window-p.size)
			p.send(buf[:m], now)
			n += m
			buf = buf[m:]
		}
	}
}

// send sends bytes. They use up the window until they are read.
func (p *pipe) send(buf []byte, now time.Time) {
	p.size += len(buf)
	p.from.bytesSent.Add(uint64(len(buf)))
	p.from.writesSent.Add(1)
	if p.isCut || p.abandoned {
		return // it will never be read
	}
	p.queue = append(p.queue, segment{at: now.Add(p.latency), data: append([]byte(nil), buf...)})
	p.changed.Broadcast()
}

// end is the writer's Close.
func (p *pipe) end() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.ended, p.endAt = true, time.Now().Add(p.latency)
	p.clear(&p.writeDeadline)
	p.changed.Broadcast()
}

// abandon is the reader's Close.
func (p *pipe) abandon() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.abandoned, p.abandonedAt = true, time.Now().Add(p.latency)
	p.queue = nil
	p.clear(&p.readDeadline)
	p.changed.Broadcast()
}

// cut drops all data that is under way or sent later.
func (p *pipe) cut() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.isCut = true
	p.queue = nil
	p.changed.Broadcast()
}

// waitFor waits for a change, for at most d. The caller holds the lock, which is released
// while waiting.
func (p *pipe) waitFor(d time.Duration) {
	timer := time.AfterFunc(d, p.wake)
	defer timer.Stop()
	p.changed.Wait()
}

func (p *pipe) wake() {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.changed.Broadcast()
}

func (p *pipe) setDeadline(d *deadline, t time.Time) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.clear(d)
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, p.wake)
	}
	p.changed.Broadcast()
}

// clear removes a deadline.
func (*pipe) clear(d *deadline) {
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = deadline{}
}
