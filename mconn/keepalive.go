package mconn

import (
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// pongSpacing is the shortest time between two pongs: pings that come faster
// share one, so that a flood of pings, which fit a frame by the dozen, is not
// answered by a flood of frames.
const pongSpacing = 50 * time.Millisecond

// pulse is what the reader tells the writer about keep-alive.
type pulse struct {
	start    time.Time // origin of the times below; set before the goroutines run
	pinged   atomic.Bool
	ponged   atomic.Bool
	heard    atomic.Bool  // a packet has come since the last probe
	probed   atomic.Bool  // the writer is to ping at once
	busy     atomic.Int64 // 1 + when the reader turned to delivering; 0: it reads
	busyOver atomic.Int64 // how long it has spent delivering before that
}

// hear notes that a packet has come.
func (p *pulse) hear() {
	if !p.heard.Load() { // a plain read costs less than a write for each packet
		p.heard.Store(true)
	}
}

// turnAway marks the moment from which the reader does not read.
func (p *pulse) turnAway(now time.Time) {
	p.busy.Store(1 + int64(now.Sub(p.start)))
}

// turnBack marks the moment at which the reader reads again, after busy.
func (p *pulse) turnBack(busy time.Duration) {
	// In this order a look in between credits too much, which keeps the peer.
	p.busyOver.Add(int64(busy))
	p.busy.Store(0)
}

// away returns for how long the reader has not read since the start.
func (p *pulse) away(now time.Time) time.Duration {
	since := p.busy.Load()

	away := time.Duration(p.busyOver.Load())
	if since != 0 {
		away += max(0, now.Sub(p.start)-time.Duration(since-1))
	}

	return away
}

// keepAlive decides about pings and pongs (docs/wire.md §5.2). The writer owns
// it.
type keepAlive struct {
	interval, timeout time.Duration
	pulse             *pulse

	nextPing   time.Time
	awaiting   bool // a ping was written and not answered, as far as is known
	pingAt     time.Time
	awayAtPing time.Duration
	lastPong   time.Time // zero: none sent
}

func newKeepAlive(config MConnConfig, p *pulse, now time.Time) keepAlive {
	return keepAlive{
		interval: config.PingInterval, timeout: config.PongTimeout,
		pulse: p, nextPing: now.Add(config.PingInterval),
	}
}

// appendDue appends the pong and the pings that are due. It reports whether there
// was a ping of the interval; then the caller calls pinged after writing. The ping
// of a probe has a deadline of its own.
func (k *keepAlive) appendDue(dst []byte, now time.Time) (packets []byte, ping bool) {
	if k.pulse.pinged.Load() && now.Sub(k.lastPong) >= pongSpacing {
		k.pulse.pinged.Store(false)
		k.lastPong = now
		dst = wire.AppendPong(dst)
	}

	if k.pulse.probed.CompareAndSwap(true, false) {
		dst = wire.AppendPing(dst)
	}

	if now.Before(k.nextPing) {
		return dst, false
	}

	k.nextPing = k.nextPing.Add(k.interval)
	if k.nextPing.Before(now) { // a write has blocked for long
		k.nextPing = now.Add(k.interval)
	}

	if k.awaiting { // its time was extended into this interval
		return dst, false
	}

	k.pulse.ponged.Store(false)

	return wire.AppendPing(dst), true
}

// pinged starts the time for the answer.
func (k *keepAlive) pinged(now time.Time) {
	k.awaiting, k.pingAt, k.awayAtPing = true, now, k.pulse.away(now)
}

// check returns ErrPongTimeout when an answer is overdue. Time in which this end
// did not read is not counted: the answer may lie unread in the socket.
func (k *keepAlive) check(now time.Time) error {
	if !k.awaiting {
		return nil
	}

	if k.pulse.ponged.Load() {
		k.awaiting = false

		return nil
	}

	if now.Before(k.pongDue(now)) {
		return nil
	}

	return ErrPongTimeout
}

func (k *keepAlive) pongDue(now time.Time) time.Time {
	return k.pingAt.Add(k.timeout + k.pulse.away(now) - k.awayAtPing)
}

// next returns when there is something to do.
func (k *keepAlive) next(now time.Time) time.Time {
	next := k.nextPing
	if k.awaiting {
		next = earlier(next, k.pongDue(now))
	}

	if k.pulse.pinged.Load() {
		next = earlier(next, k.lastPong.Add(pongSpacing))
	}

	return next
}
