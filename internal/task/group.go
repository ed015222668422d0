package task

import "sync"

// Tasks owns the goroutines of a switch. None begins after close, so that
// waiting for all of them cannot miss one. The zero value is ready.
type Tasks struct {
	mtx    sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Run runs f on a goroutine of its own, or reports false after close.
func (t *Tasks) Run(f func()) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)

	return true
}

// Close lets no further goroutine begin.
func (t *Tasks) Close() {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	t.closed = true
}

// Done returns a channel that is closed when all goroutines have ended. The
// goroutine behind it cannot be joined, since Stop may run on one of those it
// waits for; it ends after the last of them.
func (t *Tasks) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		t.wg.Wait()
		close(done)
	}()

	return done
}
