package task

import (
	"context"
	"time"
)

// Sleep waits and reports whether the context still lives.
func Sleep(ctx context.Context, d time.Duration) bool { return !WaitFor(ctx.Done(), d) }

// WaitFor waits until done is closed, at most for the time, and reports whether it was.
func WaitFor(done <-chan struct{}, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
