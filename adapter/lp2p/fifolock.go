package lp2p

import "sync"

// fifoLock is a lock that goroutines get in the order in which they asked for it. A
// sync.Mutex prefers the goroutine that has just released it: a busy channel would delay
// all others by a millisecond. A channel of one would do the same as this, but costs twice
// as much for each message while nobody waits. The zero value is free.
type fifoLock struct {
	mtx     sync.Mutex
	held    bool
	waiting []chan struct{} // in the order of arrival; closed to pass the lock on
}

func (l *fifoLock) lock() {
	l.mtx.Lock()
	if !l.held {
		l.held = true
		l.mtx.Unlock()

		return
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mtx.Unlock()
	<-turn
}

func (l *fifoLock) unlock() {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if len(l.waiting) == 0 {
		l.held = false

		return
	}
	close(l.waiting[0])
	l.waiting = l.waiting[1:]
}
