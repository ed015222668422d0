package probe

import "time"

// ClockWithin is ClockAhead with a bound for the question.
var ClockWithin = clockAhead

// Patient returns options with which a probe waits at least so long for a NodeInfo.
func (o Options) Patient(wait time.Duration) Options {
	o.nodeInfoWait = wait

	return o
}
