package mconn

import (
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// pongSpacing is the shortest time between two pongs. Pings that arrive faster
// share a pong: a frame holds dozens of pings, and each pong could cost a frame of
// its own.
const pongSpacing = 50 * time.Millisecond

// readActivity is what the writer and the probe know of the reader: which packets
// have arrived, and for how long the reader was busy delivering and did not read.
type readActivity struct {
	start     time.Time    // origin of busySince; set before the goroutines run
	pinged    atomic.Bool  // a pong is due
	ponged    atomic.Bool  // a pong has arrived since the last ping
	received  atomic.Bool  // a packet has arrived since the last probe began
	heard     atomic.Int64 // ns from start to the last read that returned data; 0: none did
	probed    atomic.Bool  // the ping of a probe is due
	busySince atomic.Int64 // ns from start to the current delivery, plus 1; 0: the reader reads
	busyTotal atomic.Int64 // ns spent on all earlier deliveries
}

// packetReceived notes that a packet has arrived.
func (a *readActivity) packetReceived() {
	if !a.received.Load() { // a load costs less than a store for each packet
		a.received.Store(true)
	}
}

// beginDelivery marks the moment at which the reader stops reading.
func (a *readActivity) beginDelivery(now time.Time) {
	a.busySince.Store(1 + int64(now.Sub(a.start)))
}

// endDelivery marks the moment at which the reader reads again.
func (a *readActivity) endDelivery(took time.Duration) {
	// A busyTime between the two stores counts the delivery twice. The other order
	// would miss it, and the peer could be dropped for our own delay.
	a.busyTotal.Add(int64(took))
	a.busySince.Store(0)
}

// heardAt returns when data last came from the peer: now while the reader does not
// read, since it cannot know.
func (a *readActivity) heardAt(now time.Time) time.Time {
	if a.busySince.Load() != 0 {
		return now
	}

	return a.start.Add(time.Duration(a.heard.Load()))
}

// busyTime returns how long the reader has not read, in total since the start.
func (a *readActivity) busyTime(now time.Time) time.Duration {
	since := a.busySince.Load()

	busy := time.Duration(a.busyTotal.Load())
	if since != 0 {
		busy += max(0, now.Sub(a.start)-time.Duration(since-1))
	}

	return busy
}

// keepAlive schedules pings and pongs (docs/wire.md §5.2). The writer owns it.
type keepAlive struct {
	interval, timeout time.Duration
	activity          *readActivity

	nextPing   time.Time
	awaiting   bool // a ping was written, and check has not seen its pong yet
	pingAt     time.Time
	busyAtPing time.Duration
	lastPong   time.Time // zero: none sent
}

func newKeepAlive(config MConnConfig, a *readActivity, now time.Time) keepAlive {
	return keepAlive{
		interval: config.PingInterval, timeout: config.PongTimeout,
		activity: a, nextPing: now.Add(config.PingInterval),
	}
}

// appendDue appends the pong and the pings that are due. ping reports whether it
// appended the ping of the interval; then the caller calls pinged after writing.
// The ping of a probe does not count: the probe has its own timeout.
func (k *keepAlive) appendDue(dst []byte, now time.Time) (packets []byte, ping bool) {
	if k.activity.pinged.Load() && now.Sub(k.lastPong) >= pongSpacing {
		k.activity.pinged.Store(false)
		k.lastPong = now
		dst = wire.AppendPong(dst)
	}

	if k.activity.probed.CompareAndSwap(true, false) {
		dst = wire.AppendPing(dst)
	}

	if now.Before(k.nextPing) {
		return dst, false
	}

	k.nextPing = k.nextPing.Add(k.interval)
	if k.nextPing.Before(now) { // a write has blocked for more than an interval
		k.nextPing = now.Add(k.interval)
	}

	// If our own delay has extended the last timeout into this interval, the ping only
	// shows the peer, which may be waiting for us to read, that we live.
	if ping = !k.awaiting; ping {
		k.activity.ponged.Store(false)
	}

	return wire.AppendPing(dst), ping
}

// pinged starts the timeout of the pong.
func (k *keepAlive) pinged(now time.Time) {
	k.awaiting, k.pingAt, k.busyAtPing = true, now, k.activity.busyTime(now)
}

// delay extends the timeout of the pong by the time for which a write was blocked: the
// peer did not read then, and the ping may have waited behind the data.
func (k *keepAlive) delay(blocked time.Duration) { k.pingAt = k.pingAt.Add(blocked) }

// check returns ErrPongTimeout when the pong is overdue. The timeout is extended
// by the time in which this end did not read: the pong may lie unread in the
// socket.
func (k *keepAlive) check(now time.Time) error {
	if !k.awaiting {
		return nil
	}

	if k.activity.ponged.Load() {
		k.awaiting = false

		return nil
	}

	if now.Before(k.pongDue(now)) {
		return nil
	}

	return ErrPongTimeout
}

func (k *keepAlive) pongDue(now time.Time) time.Time {
	return k.pingAt.Add(k.timeout + k.activity.busyTime(now) - k.busyAtPing)
}

// next returns the time at which appendDue or check is to be called again.
func (k *keepAlive) next(now time.Time) time.Time {
	next := k.nextPing
	if k.awaiting {
		next = earlier(next, k.pongDue(now))
	}

	if k.activity.pinged.Load() {
		next = earlier(next, k.lastPong.Add(pongSpacing))
	}

	return next
}
