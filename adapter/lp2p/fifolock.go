package lp2p

// fifoLock is a lock that goroutines get in the order in which they asked for it. A
// sync.Mutex prefers the goroutine that has just released it: a busy channel would delay
// all others by a millisecond.
type fifoLock chan struct{}

func newFIFOLock() fifoLock { return make(fifoLock, 1) }

func (l fifoLock) lock() { l <- struct{}{} } // blocked senders are served in order

func (l fifoLock) unlock() { <-l }
