package adapter_test

import (
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// restless is longer than anything takes that nobody disturbs.
	restless = time.Minute
	// calm is long enough for any persistent peer to be dialed again, and for that
	// dial to time out and to be repeated.
	calm = 100 * time.Second
)

// world runs a scenario in a bubble.
type world struct {
	scenario scenario
	network  *memory.Network
	infos    []types.NodeInfo
	nodes    []*node // nil while a node is down
	begun    time.Time

	mtx     sync.Mutex
	faults  []string // broken promises, the first one first
	history []string
	ends    map[int]*end
	tokens  int
	clock   int // orders what happens at one instant
	active  int // what is under way and needs time
	tasks   sync.WaitGroup
}

func newWorld(s scenario) *world {
	w := &world{
		scenario: s, network: memory.NewNetwork(), nodes: make([]*node, len(s.nodes)),
		ends: make(map[int]*end), begun: time.Now(),
	}
	w.infos = newInfos(w.network, s.nodes)

	return w
}

func (w *world) locked(f func()) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	f()
}

// expect notes a fault unless ok. The caller holds the lock.
func (w *world) expect(ok bool, format string, args ...any) {
	if ok {
		return
	}
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
	w.note("FAULT: "+format, args...)
}

// note adds to the history. The caller holds the lock.
func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%9s ", time.Since(w.begun))+fmt.Sprintf(format, args...))
}

func (w *world) nextToken() int {
	w.tokens++

	return w.tokens
}

func (w *world) indexOf(id types.ID) int {
	for i, info := range w.infos {
		if info.NetAddress.ID == id {
			return i
		}
	}

	return -1
}

// busy counts something as under way until the returned function is called.
func (w *world) busy() (done func()) {
	w.locked(func() { w.active++ })

	return func() { w.locked(func() { w.active-- }) }
}

func (w *world) busyFor(d time.Duration) {
	defer w.busy()()
	wait(d)
}

func (w *world) background(f func()) {
	done := w.busy()
	w.tasks.Go(func() {
		defer done()
		f()
	})
}

func (w *world) atRest() (rest bool) {
	w.locked(func() { rest = w.active == 0 })

	return rest
}

// fault returns the first fault.
func (w *world) fault() (err error) {
	w.locked(func() {
		if len(w.faults) > 0 {
			err = errors.New(w.faults[0])
		}
	})

	return err
}

// run is the scenario from the start of all nodes to their end.
func (w *world) run() error {
	err := w.play()

	return errors.Join(err, w.end())
}

func (w *world) play() error {
	for i := range w.nodes {
		if err := w.up(i); err != nil {
			return err
		}
	}
	for i, s := range w.scenario.steps {
		w.locked(func() { w.note("--- step %d: %s", i, s) })
		promised := w.willConnect(s)
		if err := w.do(s); err != nil {
			return err
		}
		if s.then == noRest && !promised {
			continue
		}
		if promised {
			w.settle()
		}
		wait(s.then)
		if err := w.check(); err != nil {
			return err
		}
		if promised && w.nodes[s.node].peer(s.peer) == nil {
			return fmt.Errorf("%d and %d are not connected after one has dialed the other", s.node, s.peer)
		}
	}
	w.settle()
	wait(calm)
	w.settle()
	if err := w.check(); err != nil {
		return err
	}

	return w.checkPersistent()
}

// end stops all nodes and everything else.
func (w *world) end() error {
	var errs []error
	for i := range w.nodes {
		errs = append(errs, w.down(i))
	}
	w.tasks.Wait()
	errs = append(errs, w.fault())

	return errors.Join(errs...)
}

// settle lets time pass until nothing is under way.
func (w *world) settle() {
	synctest.Wait()
	for begin := time.Now(); !w.atRest(); synctest.Wait() {
		if time.Since(begin) > restless {
			w.locked(func() { w.expect(false, "the nodes do not come to rest") })

			return
		}
		wait(10 * time.Millisecond)
	}
}

func (w *world) up(i int) error {
	if w.nodes[i] != nil {
		return nil
	}
	n, err := newNode(w, i)
	w.nodes[i] = n

	return err
}

func (w *world) down(i int) error {
	n := w.nodes[i]
	if n == nil {
		return nil
	}
	w.nodes[i] = nil

	return n.stop()
}

// do performs a step. What concerns a node that is down, or a peer that is not
// connected, does nothing.
func (w *world) do(s step) error {
	switch s.kind {
	case stepUp:
		return w.up(s.node)
	case stepDown:
		return w.down(s.node)
	case stepRestart:
		return errors.Join(w.down(s.node), w.up(s.node))
	}
	n := w.nodes[s.node]
	if n == nil {
		return nil
	}
	switch s.kind {
	case stepDial:
		n.dial(s.peer)
	case stepDialAll:
		n.dial(w.others(s.node)...)
	case stepErrorStale:
		w.stopStale(n, s.peer)
	case stepCross:
		w.cross(n, s)
	case stepBroadcast:
		for i := range s.count {
			n.broadcast(s.at(i))
		}
	case stepPanicInit, stepPanicAdd, stepPanicRemove:
		w.locked(func() { n.panics[s.kind] = map[int]bool{s.reactor: true} })
	default:
		w.doWithPeer(n, s)
	}

	return nil
}

// at is the effect of the message with the index: the last has that of the step.
func (s step) at(i int) (effect, time.Duration) {
	if i < s.count-1 {
		return effectNone, 0
	}

	return s.effect, s.block
}

// cross has both dial each other; if they are connected, that ends before.
func (w *world) cross(n *node, s step) {
	other := w.nodes[s.peer]
	if other == nil {
		n.dial(s.peer)

		return
	}
	if p := n.peer(s.peer); p != nil {
		w.doom(p)
		n.sw.StopPeerForError(p, errEnough)
		w.settle()
	}
	w.locked(func() {
		n.slowDial, n.slowAccept, other.slowDial, other.slowAccept = s.slow[0], s.slow[1], s.slow[2], s.slow[3]
	})
	n.dial(s.peer)
	wait(s.stagger)
	other.dial(s.node)
}

func (w *world) others(than int) (indices []int) {
	for i := range w.infos {
		if i != than {
			indices = append(indices, i)
		}
	}

	return indices
}

// stopStale stops a connection that was removed: the one that has followed stays.
func (w *world) stopStale(n *node, remote int) {
	w.settle()
	var stale, live *end
	w.locked(func() { stale, live = n.stale(remote), n.live(remote) })
	if stale == nil {
		return
	}
	n.sw.StopPeerForError(stale.peer, errEnough)
	w.settle()
	w.locked(func() { w.expect(n.live(remote) == live, "StopPeerForError of %s has changed what followed it", stale) })
}

// doom notes that the connection must be gone when nothing is under way.
func (w *world) doom(p compat.PeerConn) {
	w.locked(func() { endOf(p).doomed = true })
}

func (w *world) doWithPeer(n *node, s step) {
	p := n.peer(s.peer)
	if p == nil {
		return
	}
	switch s.kind {
	case stepSend:
		for i := range s.count {
			effect, block := s.at(i)
			n.send(endOf(p), effect, block)
		}
	case stepSendWait:
		n.sendAndWait(endOf(p))
	case stepError:
		w.doom(p)
		n.sw.StopPeerForError(p, errEnough)
	case stepErrorBoth:
		w.doom(p)
		w.background(func() { n.sw.StopPeerForError(p, errEnough) })
		if other := w.nodes[s.peer]; other != nil {
			if back := other.peer(s.node); back != nil {
				w.background(func() { other.sw.StopPeerForError(back, errEnough) })
			}
		}
	case stepStopConn:
		w.doom(p)
		_ = p.Stop() // it may have stopped by itself
	case stepFlushStop:
		w.doom(p)
		w.background(p.FlushStop)
	case stepCut:
		w.doom(p)
		_ = p.CloseConn()
	}
}
