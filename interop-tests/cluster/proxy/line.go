package proxy

import (
	"context"
	"io"
	"time"
)

// line is one direction of a connection. It writes each chunk after a delay, in order. put
// and close must be called by one goroutine.
type line struct {
	ctx   context.Context
	delay func() time.Duration
	lossy bool // a write that fails loses a packet and does not end the line
	queue chan late
	done  chan struct{} // closed when the writing goroutine has ended
}

// late is a chunk with its time of arrival.
type late struct {
	due  time.Time
	data []byte
}

func (p *Proxy) newLine(to io.Writer, lossy bool) *line {
	l := &line{ctx: p.ctx, delay: p.delay, lossy: lossy, queue: make(chan late, queueLength), done: make(chan struct{})}
	go l.run(to)

	return l
}

// put queues a chunk and waits for room. It returns false when the line has ended.
func (l *line) put(data []byte) bool {
	select {
	case l.queue <- late{time.Now().Add(l.delay()), data}:
		return true
	case <-l.done:
		return false
	}
}

// tryPut queues a packet, or drops it if there is no room.
func (l *line) tryPut(data []byte) {
	select {
	case l.queue <- late{time.Now().Add(l.delay()), data}:
	default:
	}
}

// close waits until all chunks are written or writing has failed.
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

// wait waits for d. It returns false when the proxy is closed meanwhile.
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
