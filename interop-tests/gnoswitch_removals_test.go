package interoptests

import (
	"fmt"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// removals counts the peers of a gno switch between InitPeer and the end of RemovePeer. gno's
// Stop does not wait for a RemovePeer that the end of the connection has caused on another
// goroutine (switch.go, stopAndRemovePeer), but the suites look at the calls once Stop has
// returned.
type removals struct {
	mtx     sync.Mutex
	pending int
	changed chan struct{} // closed and replaced when pending changes
}

func newRemovals() *removals { return &removals{changed: make(chan struct{})} }

func (r *removals) add(n int) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.pending += n
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *removals) await() error {
	deadline := time.NewTimer(gnoPatience)
	defer deadline.Stop()
	for {
		r.mtx.Lock()
		pending, changed := r.pending, r.changed
		r.mtx.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-deadline.C:
			return fmt.Errorf("gno has not removed %d peers", pending)
		}
	}
}

// countedReactor is a reactor whose peers are counted.
type countedReactor struct {
	compat.Reactor
	removals *removals
}

func (r countedReactor) InitPeer(peer compat.PeerConn) compat.PeerConn {
	r.removals.add(1)

	return r.Reactor.InitPeer(peer)
}

func (r countedReactor) RemovePeer(peer compat.PeerConn, reason any) {
	defer r.removals.add(-1)
	r.Reactor.RemovePeer(peer, reason)
}

// awaitingRemovals is a gno switch whose Stop waits until all peers are removed.
type awaitingRemovals struct {
	service.Service
	removals *removals
}

func (s awaitingRemovals) Stop() error {
	if err := s.Service.Stop(); err != nil {
		return err
	}

	return s.removals.await()
}
