package mconn

import "time"

// probe is a demand that the peer shows that it lives. The connection's lock
// guards it.
type probe struct {
	timeout time.Duration // 0: none is under way
	timer   *time.Timer   // nil until the connection is started
	begun   time.Time
	away    time.Duration // pulse.away at begun
}

// ProbeAlive pings the peer at once and ends the connection with
// [ErrProbeTimeout] when nothing at all has come from it within the timeout,
// which must be positive. Any packet is taken for a sign of life, since a pong may
// be queued behind others; time this end spent not reading is not counted. It
// does not wait. Before Start the probe is kept and begins with the connection;
// while another is under way and unanswered it does nothing; after Stop too.
//
// The ping of the interval notices a silent peer as well, after PingInterval and
// PongTimeout. A probe is for when there is a reason to doubt.
func (c *MConnection) ProbeAlive(timeout time.Duration) {
	c.mu.Lock()
	if c.probe.timer != nil && !c.pulse.heard.Load() || c.stopped.Load() {
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

// beginProbe begins what ProbeAlive has demanded, if it did and this was not done
// yet.
func (c *MConnection) beginProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()

	p := &c.probe
	if p.timeout == 0 || p.timer != nil || !c.open {
		return
	}

	now := time.Now()
	p.begun, p.away = now, c.pulse.away(now)
	c.pulse.heard.Store(false)
	c.pulse.probed.Store(true)
	p.timer = time.AfterFunc(p.timeout, c.judgeProbe)
	c.wake.Set()
}

// judgeProbe runs on the timer's goroutine when the time of the probe is over. It
// is not the writer's task: a peer that reads nothing may have blocked that.
func (c *MConnection) judgeProbe() {
	if c.probeFailed(time.Now()) && c.fails() {
		c.onError(ErrProbeTimeout)
	}
}

// probeFailed ends the probe, unless the peer is to be given back time in which
// this end did not read.
func (c *MConnection) probeFailed(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	p := &c.probe
	if p.timer == nil {
		return false
	}

	if c.pulse.heard.Load() {
		*p = probe{}

		return false
	}

	if left := p.timeout + c.pulse.away(now) - p.away - now.Sub(p.begun); left > 0 {
		p.timer.Reset(left)

		return false
	}

	return true
}

// endProbe stops the timer of a connection that is stopped.
func (c *MConnection) endProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe.stop()
}

func (p *probe) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
	*p = probe{}
}
