package lp2p

import (
	"context"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

// assembly bounds the memory of a session's messages that did not fit into a read
// buffer, from their first byte until the reactor has received them. Unfinished
// messages that exceed it alone are a violation; while complete ones wait for
// their delivery, the others wait for room. All methods may be called concurrently.
type assembly struct {
	limit int

	mtx      sync.Mutex
	used     int           // bytes of all messages
	complete int           // those of messages that have arrived
	room     chan struct{} // closed when room appears; nil while nobody waits
}

func newAssembly(limit int) *assembly { return &assembly{limit: limit} }

// tryTake takes n bytes. It returns false when unfinished messages have taken up
// everything, and otherwise, if there is no room, a channel that closes when it is
// worth another try.
func (a *assembly) tryTake(n int) (ok bool, room <-chan struct{}) {
	a.mtx.Lock()
	defer a.mtx.Unlock()

	if a.used+n <= a.limit {
		a.used += n

		return true, nil
	}
	if a.complete == 0 {
		return false, nil
	}
	if a.room == nil {
		a.room = make(chan struct{})
	}

	return true, a.room
}

// waitRoom takes n bytes when a delivery has made room for them.
func (a *assembly) waitRoom(ctx context.Context, n int, room <-chan struct{}) error {
	for {
		select {
		case <-room:
		case <-ctx.Done():
			return errStopped
		}

		var ok bool
		if ok, room = a.tryTake(n); !ok {
			return errAssembly
		}
		if room == nil {
			return nil
		}
	}
}

var errAssembly = control.Violation("more than %d bytes of unfinished messages", maxPartialBytes)

// finish notes that a message of n bytes is complete.
func (a *assembly) finish(n int) {
	a.mtx.Lock()
	defer a.mtx.Unlock()
	a.complete += n
}

// release gives back the n bytes of a message, of which complete ones were finished.
func (a *assembly) release(n, complete int) {
	a.mtx.Lock()
	defer a.mtx.Unlock()
	a.used -= n
	a.complete -= complete
	if a.room != nil {
		close(a.room)
		a.room = nil
	}
}
