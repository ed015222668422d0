package bridge

import (
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// stopFlush is how long a bridge that stops waits until its pairs have sent what they have
// taken.
const stopFlush = 2 * time.Second

// flush sends what both connections have taken when the bridge stops, for stopFlush at most.
// The caller then closes the connections, and calls wait.
func (p *pair) flush(end *ending) (wait func()) {
	var flushing sync.WaitGroup
	done := make(chan struct{})
	for _, s := range []*side{p.native, p.libp2p} {
		flushing.Go(func() { s.flush(end.reasonFor(s)) })
	}
	p.bridge.wg.Go(func() {
		flushing.Wait()
		close(done)
	})
	task.WaitFor(done, stopFlush)

	return flushing.Wait
}
