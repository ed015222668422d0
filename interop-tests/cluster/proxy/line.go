package proxy

import (
	"context"
	"io"
	"time"
)

// line is one direction: what is put in is written after its delay, in order. One
// goroutine puts and closes.
type line struct {
	ctx   context.Context
	delay func() time.Duration
	lossy bool // a write that fails loses a packet, and ends nothing
	queue chan late
	done  chan struct{} // closed when nothing is written any more
}

// late is a chunk and when it arrives.
type late struct {
	due  time.Time
	data []byte
}

func (p *Proxy) newLine(to io.Writer, lossy bool) *line {
	l := &line{ctx: p.ctx, delay: p.delay, lossy: lossy, queue: make(chan late, queueLength), done: make(chan struct{})}
	go l.run(to)

	return l
}

// put waits for room. It returns false when nothing is written any more.
func (l *line) put(data []byte) bool {
	select {
	case l.queue <- late{time.Now().Add(l.delay()), data}:
		return true
	case <-l.done:
		return false
	}
}

// tryPut loses the packet if there is no room.
func (l *line) tryPut(data []byte) {
	select {
	case l.queue <- late{time.Now().Add(l.delay()), data}:
	default:
	}
}

// close waits until everything was written, or could not be.
func (l *line) close() {
	close(l.queue)
	<-l.done
}

func (l *line) run(to io.Writer) {
	defer close(l.done)
	for next := range l.queue {
		if !l.wait(time.Until(next.due)) {
			return
		}
		if _, err := to.Write(next.data); err != nil && !l.lossy {
			return
		}
	}
}

// wait reports whether the proxy still works after the time.
func (l *line) wait(d time.Duration) bool {
	if d <= 0 {
		return l.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}
