package task

import "sync"

// Group owns goroutines and calls. None begins after Close, so that waiting for all of
// them cannot miss one. The zero value is ready, and all methods may be called
// concurrently.
type Group struct {
	mtx    sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Go runs f on a goroutine of its own, or reports false after Close.
func (g *Group) Go(f func()) bool {
	if !g.Enter() {
		return false
	}
	go func() {
		defer g.Leave()
		f()
	}()

	return true
}

// Enter counts a call in, which ends with Leave, or reports false after Close.
func (g *Group) Enter() bool {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	if g.closed {
		return false
	}
	g.wg.Add(1)

	return true
}

// Leave ends a call that Enter has let in.
func (g *Group) Leave() { g.wg.Done() }

// Close lets nothing further begin.
func (g *Group) Close() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.closed = true
}

// Wait waits until all goroutines and calls have ended. It is called after Close.
func (g *Group) Wait() { g.wg.Wait() }

// Done returns a channel that is closed when all goroutines and calls have ended, for one
// of them that must not wait for itself. The goroutine behind it cannot be joined, and
// ends after the last of them.
func (g *Group) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		g.wg.Wait()
		close(done)
	}()

	return done
}
