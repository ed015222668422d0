package process

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// LeavesRole is the role of a process of leaves.
const LeavesRole = "wan-leaves"

// DialNow is the signal on which the leaves begin to dial.
const DialNow = syscall.SIGUSR1

// LeavesSpec configures a process of leaves.
type LeavesSpec struct {
	Nodes []Config
	// Within is how long the starts of the nodes are spread over.
	Within     time.Duration
	Broadcasts int
}

// runLeaves is the main function of the process.
func (newNode NewNode) runLeaves(ctx context.Context, specification json.RawMessage, say func(string)) (err error) {
	var spec LeavesSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	dial := make(chan os.Signal, 1)
	signal.Notify(dial, DialNow)
	defer signal.Stop(dial)
	l := &leaves{tell: func(e Event) { say(e.line()) }, missing: make([]int, spec.Broadcasts)}
	for i := range l.missing {
		l.missing[i] = len(spec.Nodes)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for i, c := range spec.Nodes {
		sw, err := newNode(c, &Observer{on: l.on})
		if err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		l.nodes = append(l.nodes, sw)
	}
	l.tell(Event{Ready: true})
	select {
	case <-dial:
	case <-ctx.Done():
		return nil
	}
	l.tell(Event{Dialing: &Moment{At: clock.Now()}})
	begun := clock.Now()
	for i, sw := range l.nodes {
		clock.SleepUntil(begun + spec.Within*time.Duration(i)/time.Duration(len(l.nodes)))
		if err := sw.Start(); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	<-ctx.Done()

	return nil
}

// leaves are the running nodes of a process.
type leaves struct {
	tell  func(Event)
	nodes []Node

	mtx     sync.Mutex
	missing []int // how many leaves each broadcast has not reached
}

// on counts a broadcast that has reached a leaf.
func (l *leaves) on(msg []byte) {
	now := clock.Now()
	if len(msg) != BroadcastSize {
		return
	}
	number := binary.BigEndian.Uint64(msg)
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if number >= uint64(len(l.missing)) {
		return
	}
	if l.missing[number]--; l.missing[number] == 0 {
		l.tell(Event{Reached: &Moment{Number: int(number), At: now}})
	}
}

// close closes all nodes at once.
func (l *leaves) close() error {
	errs := make([]error, len(l.nodes))
	var wg sync.WaitGroup
	for i, sw := range l.nodes {
		wg.Go(func() { errs[i] = sw.Close() })
	}
	wg.Wait()

	return errors.Join(errs...)
}
