package compattest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crossedPatience bounds each wait of TestCrossedDials, whose pairs all run at the same
// time. None waits for it to pass.
const crossedPatience = 3 * time.Minute

// redial is how long a node that was told to dial may take to begin before it is told again.
// A switch ignores an address whose last dial is just ending, and does not tell when it has
// ended.
const redial = 10 * time.Millisecond

// TestCrossedDials lets pairs of nodes dial each other, all pairs side by side and each for
// the given rounds. In each round both dials are held until both are under way. It checks
// that one connection is left, the same on both ends, dialed by the node with the lower ID,
// and that reactors and events agree. The handshakes of the transports must be patient, too.
func TestCrossedDials(t *testing.T, makeNetwork MakeNetwork, pairs, rounds int) {
	t.Helper()
	makeSwitch := makeNetwork(t)
	var all []*crossedPair
	for range pairs {
		all = append(all, newCrossedPair(t, makeSwitch))
	}
	errs := make([]error, pairs)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = p.run(rounds) })
	}
	wg.Wait()
	connected := 0
	for i, p := range all {
		require.NoError(t, errs[i], "pair %d: %s", i, p)
		p.stop(t)
		connected += p.lower().connected + p.upper().connected
	}
	t.Logf("%d rounds: %d ends connected", pairs*rounds, connected)
	require.GreaterOrEqual(t, connected, 2*pairs*rounds)
}

// crossedPair is two nodes that dial each other, that with the lower ID first.
type crossedPair struct {
	sides [2]*side

	mtx     sync.Mutex
	changed chan struct{} // closed and replaced with every change
	release chan struct{} // of the round; closed when both dials are under way
}

func newCrossedPair(t *testing.T, makeSwitch MakeSwitch) *crossedPair {
	t.Helper()
	p := &crossedPair{changed: make(chan struct{}), release: make(chan struct{})}
	a, b := newSide(t, p, makeSwitch), newSide(t, p, makeSwitch)
	if b.addr.ID < a.addr.ID {
		a, b = b, a
	}
	p.sides, a.remote, b.remote = [2]*side{a, b}, b, a
	for _, s := range p.sides {
		s.start(t)
	}

	return p
}

func (p *crossedPair) lower() *side { return p.sides[0] }

func (p *crossedPair) upper() *side { return p.sides[1] }

// both reports whether the condition holds for both nodes. The caller holds the lock.
func (p *crossedPair) both(holds func(*side) bool) bool { return holds(p.lower()) && holds(p.upper()) }

// change runs f under the lock and wakes whoever waits for a change.
func (p *crossedPair) change(f func()) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until the condition holds.
func (p *crossedPair) await(what string, holds func() bool) error {
	return p.awaitBy(what, holds, func() {}, crossedPatience)
}

// awaitBy waits until the condition holds. It calls nudge, without the lock, after every
// change and again after the given time.
func (p *crossedPair) awaitBy(what string, holds func() bool, nudge func(), again time.Duration) error {
	timeout, tick := time.NewTimer(crossedPatience), time.NewTicker(again)
	defer timeout.Stop()
	defer tick.Stop()
	for {
		p.mtx.Lock()
		ok, changed := holds(), p.changed
		p.mtx.Unlock()
		if ok {
			return nil
		}
		nudge()
		select {
		case <-changed:
		case <-tick.C:
		case <-timeout.C:
			return fmt.Errorf("%s: not within %s", what, crossedPatience)
		}
	}
}

func (p *crossedPair) run(rounds int) error {
	for n := range rounds {
		for _, step := range []func(int) error{p.cross, p.settle, p.exchange, p.disconnect} {
			if err := step(n); err != nil {
				return fmt.Errorf("round %d: %w", n, err)
			}
		}
	}

	return nil
}

// cross lets both nodes dial, holds the dials until both are under way, and releases them
// at once.
func (p *crossedPair) cross(int) error {
	p.change(func() {
		p.release = make(chan struct{})
		for _, s := range p.sides {
			s.dialing, s.dialed = false, false
		}
	})
	bothDial := func() bool { return p.both(func(s *side) bool { return s.dialing }) }
	err := p.awaitBy("both dial", bothDial, func() {
		for _, s := range p.sides {
			s.dial()
		}
	}, redial)
	close(p.release)

	return err
}

// settle waits until both ends have the connection that the lower ID has dialed.
func (p *crossedPair) settle(int) error {
	return p.await("one connection", func() bool {
		a, b := p.lower().live, p.upper().live

		return p.both(func(s *side) bool { return s.dialed && s.live != nil }) &&
			a.token == b.greeting && b.token == a.greeting && a.outbound && !b.outbound
	})
}

// exchange sends a message each way.
func (p *crossedPair) exchange(n int) error {
	msg := fmt.Sprint("round ", n)
	for _, s := range p.sides {
		peers := s.sw.Peers().List()
		if len(peers) != 1 || peers[0].ID() != s.remote.addr.ID {
			return fmt.Errorf("%d peers are in the set of a node", len(peers))
		}
		if !peers[0].Send(ChannelA, []byte(msg)) {
			return errors.New("a message was not taken")
		}
	}

	return p.await("a message each way", func() bool {
		return p.both(func(s *side) bool { return s.live.received(msg) })
	})
}

// disconnect ends the connection on one end or on both, and waits until both nodes have no
// peer and their events say so.
func (p *crossedPair) disconnect(n int) error {
	switch n % 4 {
	case 0, 1:
		p.sides[n%4].stopPeer()
	case 2:
		if peer := p.lower().sw.Peers().Get(p.upper().addr.ID); peer != nil {
			if err := peer.Stop(); err != nil {
				return err
			}
		}
	case 3:
		var wg sync.WaitGroup
		wg.Go(p.lower().stopPeer)
		wg.Go(p.upper().stopPeer)
		wg.Wait()
	}

	return p.await("no connection", func() bool { return p.both((*side).alone) })
}

// stop ends both nodes and checks what they were told over all rounds.
func (p *crossedPair) stop(t *testing.T) {
	t.Helper()
	for _, s := range p.sides {
		s.stop(t)
	}
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for _, s := range p.sides {
		require.Empty(t, s.faults)
		require.Empty(t, s.links, "each InitPeer has its RemovePeer")
		require.True(t, s.alone(), "each AddPeer has its events: %s", s)
	}
}

// String describes the pair for a failure.
func (p *crossedPair) String() string {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return fmt.Sprintf("lower ID {%s}, higher ID {%s}", p.lower(), p.upper())
}
