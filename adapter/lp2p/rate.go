package lp2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// messageCost is what a received message counts for in addition to its bytes: what it
	// costs on the wire alone, which is 40 bytes of IP and TCP, 18 of Noise and 12 of yamux.
	messageCost = 70
	// rateBurst is how much of a second's bytes may pass at once, as a divisor.
	rateBurst = 10
	minWait   = 5 * time.Millisecond
)

// WithRates bounds what each session sends and receives, in bytes a second on average; 0
// means no limit, as without this option. A tenth of a second's bytes, and at least 64 KiB,
// may pass at once. Each received message counts for 70 bytes more, so that tiny ones do
// not come at any rate. What is above the rate waits: a receiver leaves it in the windows
// of the streams, which slows the sender down, and never ends the session for it.
func WithRates(send, recv int64) Option {
	return func(o *options) {
		o.sendRate, o.recvRate = send, recv
		if send < 0 {
			o.report(fmt.Errorf("send rate %d is negative", send))
		}
		if recv < 0 {
			o.report(fmt.Errorf("receive rate %d is negative", recv))
		}
	}
}

// pacer slows one direction of a session down to a rate. A nil pacer does not. All methods
// may be called concurrently.
type pacer struct{ limiter *rate.Limiter }

// newPacer returns nil for a rate of zero.
func newPacer(bytesPerSecond int64) *pacer {
	if bytesPerSecond == 0 {
		return nil
	}

	return &pacer{rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(bytesPerSecond/rateBurst, maxFrame)))}
}

// spend takes n bytes and returns how long to wait for them. Short waits add up until they
// are worth a timer.
func (p *pacer) spend(n int) (wait time.Duration) {
	if p == nil {
		return 0
	}
	now, burst := time.Now(), p.limiter.Burst()
	for ; n > 0; n -= burst {
		wait = p.limiter.ReserveN(now, min(n, burst)).DelayFrom(now)
	}

	if wait < minWait {
		return 0
	}

	return wait
}

// sendGate is where channels wait for the send rate. It is closed while the session owes
// bytes. When it opens, the channel with the smallest share writes, and it closes again.
type sendGate struct {
	pacer *pacer   // nil without a rate
	turns *backlog // never empty, so that it lets one channel through at a time

	mtx   sync.Mutex
	owed  int         // of turns, until timer fires
	timer *time.Timer // nil until bytes were owed
	ended bool
}

func newSendGate(bytesPerSecond int64) *sendGate {
	g := &sendGate{pacer: newPacer(bytesPerSecond), turns: new(backlog)}
	g.turns.bytes.Store(1)

	return g
}

// pass waits until the channel may write n bytes.
func (g *sendGate) pass(ctx context.Context, c *channelOut, n int) error {
	if g.pacer == nil {
		return nil
	}
	if err := g.turns.await(ctx, c, max(n, urgentSize+1)); err != nil {
		return err
	}
	wait := g.pacer.spend(n)
	if wait == 0 {
		g.turns.written(0)

		return nil
	}

	g.mtx.Lock()
	defer g.mtx.Unlock()
	if g.ended {
		return errStopped
	}
	g.turns.bytes.Add(maxBacklog)
	g.owed += maxBacklog
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, g.open)
	} else {
		g.timer.Reset(wait)
	}

	return nil
}

func (g *sendGate) open() {
	g.mtx.Lock()
	owed := g.owed
	g.owed = 0
	g.mtx.Unlock()
	g.turns.written(owed)
}

// end stops the timer. Channels that wait end with the session.
func (g *sendGate) end() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.ended = true
	if g.timer != nil {
		g.timer.Stop()
	}
}

// pay waits until the receive rate allows n more bytes. Meanwhile the timer of an unfinished
// message stands still, since the remote cannot hasten it, and begins anew afterwards.
func (c *channelIn) pay(n int, unfinished bool) error {
	wait := c.s.pacer.spend(n)
	if wait == 0 {
		return nil
	}
	if unfinished {
		if err := c.stopTimer(); err != nil {
			return err
		}
	}
	if !task.Sleep(c.s.ctx, wait) {
		return errStopped
	}
	if unfinished {
		c.startTimer()
	}

	return nil
}
