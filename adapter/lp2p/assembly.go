package lp2p

import (
	"context"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

// assembly bounds the memory of a session's messages that do not fit into a read buffer,
// from their first byte until the reactor has received them. Incomplete messages that
// need more than the limit by themselves end the session. Nobody is blamed for it: an honest
// remote may have sent them one after the other, and they have waited in the windows. While
// complete ones wait for their delivery, the others wait for room. All methods may be called
// concurrently.
type assembly struct {
	limit int

	mtx      sync.Mutex
	used     int           // bytes of all messages
	complete int           // bytes of messages that have arrived
	room     chan struct{} // closed when memory is released; nil while nothing waits
}

var errAssembly = control.TooSlow("more than %d bytes of unfinished messages", maxPartialBytes)

func newAssembly(limit int) *assembly { return &assembly{limit: limit} }

// take takes n bytes. It waits for room unless incomplete messages have taken up
// everything.
func (a *assembly) take(ctx context.Context, n int) error {
	for {
		room, err := a.tryTake(n)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return errStopped
		}
	}
}

// tryTake takes n bytes if there is room. Otherwise it returns a channel that closes when
// it is worth another try, or errAssembly.
func (a *assembly) tryTake(n int) (room <-chan struct{}, err error) {
	a.mtx.Lock()
	defer a.mtx.Unlock()
	switch {
	case a.used+n <= a.limit:
		a.used += n

		return nil, nil
	case a.complete == 0:
		return nil, errAssembly
	case a.room == nil:
		a.room = make(chan struct{})
	}

	return a.room, nil
}

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
