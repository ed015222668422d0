package lp2p

import (
	"sync"
	"sync/atomic"
)

// fifoLock is a lock that goroutines get in the order in which they asked for it. A
// sync.Mutex prefers the goroutine that has just released it: a busy channel would delay
// all others by a millisecond. A channel of one would do the same as this, but costs several
// times as much for each message while nobody waits. The zero value is free.
type fifoLock struct {
	state atomic.Int32

	mtx     sync.Mutex      // guards waiting, and the state where that is lockContended
	waiting []chan struct{} // in the order of arrival; closed to pass the lock on
}

const (
	lockFree      = iota
	lockHeld      // and nobody waits
	lockContended // held, and somebody waits
)

func (l *fifoLock) lock() {
	if l.state.CompareAndSwap(lockFree, lockHeld) {
		return
	}
	l.mtx.Lock()
	for l.state.Load() != lockContended && !l.state.CompareAndSwap(lockHeld, lockContended) {
		if l.state.CompareAndSwap(lockFree, lockHeld) { // released meanwhile
			l.mtx.Unlock()

			return
		}
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mtx.Unlock()
	<-turn
}

func (l *fifoLock) unlock() {
	if l.state.CompareAndSwap(lockHeld, lockFree) {
		return
	}
	l.mtx.Lock()
	defer l.mtx.Unlock()
	next := l.waiting[0]
	l.waiting = l.waiting[1:]
	if len(l.waiting) == 0 {
		l.state.Store(lockHeld) // by the next one, which may be done before this function returns
	}
	close(next)
}
