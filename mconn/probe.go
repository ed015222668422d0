package mconn

import "time"

// probe is a liveness check with a timeout. MConnection.mu guards it.
type probe struct {
	timeout time.Duration // 0: there is no probe
	timer   *time.Timer   // nil until the connection is started
	begun   time.Time
	busy    time.Duration // busyTime at begun
}

// ProbeAlive pings the peer at once. The connection ends with [ErrProbeTimeout]
// when no packet arrives within the timeout, which must be positive. Any packet
// counts as an answer, since a pong may be queued behind others. Time in which
// this end did not read does not count.
//
// ProbeAlive does not block. Called before Start, it takes effect at Start. While an
// earlier probe is unanswered, the one that ends first counts. After Stop it does
// nothing.
//
// Keep-alive detects a silent peer too, after PingInterval and PongTimeout. Use a
// probe when there is reason to suspect that the connection is dead.
func (c *MConnection) ProbeAlive(timeout time.Duration) {
	c.mu.Lock()
	p, now := &c.probe, time.Now()
	unanswered := p.timeout != 0 && (p.timer == nil || !c.activity.received.Load())
	if c.stopped.Load() || unanswered && !p.ends(now).After(now.Add(timeout)) {
		c.mu.Unlock()

		return
	}
	c.probe.stop()
	c.probe.timeout = timeout
	c.mu.Unlock()

	if c.IsRunning() {
		c.beginProbe()
	}
}

// beginProbe begins the probe that ProbeAlive asked for, unless there is none or
// it has begun.
func (c *MConnection) beginProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()

	p := &c.probe
	if p.timeout == 0 || p.timer != nil || !c.open {
		return
	}

	now := time.Now()
	p.begun, p.busy = now, c.activity.busyTime(now)
	c.activity.received.Store(false)
	c.activity.probed.Store(true)
	p.timer = time.AfterFunc(p.timeout, c.checkProbe)
	c.wake.Set()
}

// checkProbe runs on the timer's goroutine when the timeout has passed. The writer
// cannot do this: a peer that reads nothing may have blocked it.
func (c *MConnection) checkProbe() {
	if c.probeFailed(time.Now()) && c.stopFailed() {
		c.onError(ErrProbeTimeout)
	}
}

// probeFailed reports whether the probe went unanswered. It resets the timer when
// the timeout is extended by time in which this end did not read.
func (c *MConnection) probeFailed(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	p := &c.probe
	if p.timer == nil {
		return false
	}

	if c.activity.received.Load() {
		*p = probe{}

		return false
	}

	if left := p.timeout + c.activity.busyTime(now) - p.busy - now.Sub(p.begun); left > 0 {
		p.timer.Reset(left)

		return false
	}

	return true
}

// endProbe ends the probe of a stopped connection.
func (c *MConnection) endProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe.stop()
}

// ends returns when the probe ends if it begins now, or has begun.
func (p *probe) ends(now time.Time) time.Time {
	if p.timer != nil {
		now = p.begun
	}

	return now.Add(p.timeout)
}

func (p *probe) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
	*p = probe{}
}
