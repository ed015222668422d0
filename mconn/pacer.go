package mconn

import (
	"math"
	"time"
)

// burstWindow is the traffic that may pass at once after a pause: the original
// counts in windows of this length (docs/wire.md §5.3).
const burstWindow = 100 * time.Millisecond

// batchPackets is how many packets the original lets out each time.
const batchPackets = 10

// noLimit is the allowance without a rate.
const noLimit = math.MaxInt

// pacer holds one direction to its rate: a token bucket that may go into debt by
// one packet. When it runs dry it stays closed until a group of packets is worth
// moving, so that a limited connection does not move single packets. It is not
// safe for concurrent use.
type pacer struct {
	rate    float64 // bytes a second; 0: no limit
	burst   float64 // most bytes saved up
	group   float64 // bytes worth opening for
	balance float64 // bytes that may pass now
	closed  bool
	last    time.Time
}

// newPacer returns a full bucket. Closed, it opens after at most maxWait.
func newPacer(rate int64, maxPacket int, maxWait time.Duration, now time.Time) pacer {
	var (
		r      = float64(rate)
		packet = float64(maxPacket)
		burst  = max(r*burstWindow.Seconds(), batchPackets*packet)
		group  = min(batchPackets*packet, r*maxWait.Seconds())
	)

	return pacer{rate: r, burst: burst, group: max(group, 1), balance: burst, last: now}
}

// allowance returns how many bytes may pass now; 0 means that the caller has to
// wait until opens.
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

// spend counts n bytes that have passed, allowed or not.
func (p *pacer) spend(n int) {
	if p.rate != 0 {
		p.balance -= float64(n)
	}
}

// opens returns when a closed pacer opens again.
func (p *pacer) opens() time.Time {
	wait := math.Ceil((p.group - p.balance) / p.rate * float64(time.Second))

	return p.last.Add(time.Duration(wait) + time.Microsecond)
}
