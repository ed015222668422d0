// Package clock tells a time that all processes of a machine agree on.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since the machine started (CLOCK_MONOTONIC).
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock_gettime: " + err.Error()) // only for an unknown clock
	}

	return time.Duration(ts.Nano())
}

// SleepUntil returns when Now has reached the time.
func SleepUntil(t time.Duration) {
	if d := t - Now(); d > 0 {
		time.Sleep(d)
	}
}
