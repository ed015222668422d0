package lp2p

import "sync"

// turnstile lets one goroutine pass at a time, in the order of arrival. A
// sync.Mutex would prefer the goroutine that has just left and comes again: a
// channel under load would keep all others out for a millisecond. The zero value
// is ready.
type turnstile struct {
	mtx    sync.Mutex
	taken  bool
	queued []chan struct{}
}

func (t *turnstile) enter() {
	t.mtx.Lock()
	if !t.taken {
		t.taken = true
		t.mtx.Unlock()

		return
	}
	turn := make(chan struct{})
	t.queued = append(t.queued, turn)
	t.mtx.Unlock()
	<-turn // whoever is inside leaves, whatever happens to the session
}

func (t *turnstile) leave() {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	if len(t.queued) == 0 {
		t.taken = false

		return
	}
	close(t.queued[0])
	t.queued = t.queued[1:]
}
