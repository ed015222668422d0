package mconn

import (
	"math"
	"time"
)

// burstWindow is the largest burst, in time at the full rate. The original counts
// traffic in windows of this length (docs/wire.md §5.3).
const burstWindow = 100 * time.Millisecond

// batchPackets is how many packets the original sends in one batch.
const batchPackets = 10

// noLimit is the allowance when there is no rate.
const noLimit = math.MaxInt

// pacer limits one direction to its rate. It is a token bucket that may go into
// debt by one packet and the rest of its frame, or by one read. An empty bucket stays
// closed until it holds a group of packets, so that a limited connection does not move
// single packets. It is not safe for concurrent use.
type pacer struct {
	rate    float64 // bytes per second; 0: no limit
	burst   float64 // capacity of the bucket, in bytes
	group   float64 // bytes at which a closed bucket opens
	balance float64 // bytes that may pass now; negative: debt
	closed  bool
	last    time.Time // when balance was computed
}

// newPacer returns a full bucket. Without debt, a closed bucket opens after at
// most maxWait.
func newPacer(rate int64, maxPacket int, maxWait time.Duration, now time.Time) pacer {
	var (
		r      = float64(rate)
		packet = float64(maxPacket)
		burst  = max(r*burstWindow.Seconds(), batchPackets*packet)
		group  = min(batchPackets*packet, r*maxWait.Seconds())
	)

	return pacer{rate: r, burst: burst, group: max(group, 1), balance: burst, last: now}
}

// allowance returns how many bytes may pass now. When it returns 0, the caller
// waits until opens.
func (p *pacer) allowance(now time.Time) int {
	if p.rate == 0 {
		return noLimit
	}

	if d := now.Sub(p.last); d > 0 {
		p.balance = min(p.burst, p.balance+d.Seconds()*p.rate)
		p.last = now
	}

	need := 1.0
	if p.closed {
		need = p.group
	}

	p.closed = p.balance < need
	if p.closed {
		return 0
	}

	return int(p.balance)
}

// spend takes n bytes from the bucket, which may exceed the allowance.
func (p *pacer) spend(n int) {
	if p.rate != 0 {
		p.balance -= float64(n)
	}
}

// opens returns when a closed bucket opens again.
func (p *pacer) opens() time.Time {
	wait := math.Ceil((p.group - p.balance) / p.rate * float64(time.Second))

	return p.last.Add(time.Duration(wait) + time.Microsecond)
}
