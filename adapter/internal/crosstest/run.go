package crosstest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// patience bounds each wait; none waits for it to pass.
const patience = 3 * time.Minute

// redial is how long a node that was told to dial may take to begin before it is told again.
// A switch ignores an address whose last dial is just ending, and does not tell when it has
// ended.
const redial = 10 * time.Millisecond

var errRoundOver = errors.New("the round is over")

// Options say what is tested.
type Options struct {
	// Pairs of nodes dial each other side by side, each for the given rounds.
	Pairs, Rounds int

	// NewTransport returns a transport with the channel Channel that listens on loopback. The
	// test's cleanup closes it, after the switch is stopped.
	NewTransport func(t *testing.T) compat.Transport
}

// Run runs the rounds. The nodes are used for all rounds of their pair.
func Run(t *testing.T, o Options) {
	t.Helper()
	pairs, errs := make([]*pair, o.Pairs), make([]error, o.Pairs)
	for i := range pairs {
		pairs[i] = newPair(t, o)
	}
	var wg sync.WaitGroup
	for i, p := range pairs {
		wg.Go(func() { errs[i] = p.run(o.Rounds) })
	}
	wg.Wait()
	connected := 0
	for i, p := range pairs {
		require.NoError(t, errs[i], "pair %d: %s", i, p)
		p.stop(t)
		connected += p.lower().connected + p.upper().connected
	}
	t.Logf("%d rounds: %d ends connected", o.Pairs*o.Rounds, connected)
	require.GreaterOrEqual(t, connected, 2*o.Pairs*o.Rounds)
}

// pair is two nodes that dial each other, that with the lower ID first.
type pair struct {
	sides [2]*side

	mtx     sync.Mutex
	changed chan struct{} // closed and replaced with every change
	release chan struct{} // of the round; closed when both dials are under way
}

func newPair(t *testing.T, o Options) *pair {
	t.Helper()
	p := &pair{changed: make(chan struct{}), release: make(chan struct{})}
	a, b := newSide(p, o.NewTransport(t)), newSide(p, o.NewTransport(t))
	if b.addr.ID < a.addr.ID {
		a, b = b, a
	}
	p.sides, a.remote, b.remote = [2]*side{a, b}, b, a
	for _, s := range p.sides {
		s.start(t)
	}

	return p
}

func (p *pair) lower() *side { return p.sides[0] }

func (p *pair) upper() *side { return p.sides[1] }

// both reports whether the condition holds for both nodes. The caller holds the lock.
func (p *pair) both(holds func(*side) bool) bool { return holds(p.lower()) && holds(p.upper()) }

// change runs f under the lock and wakes whoever waits for a change.
func (p *pair) change(f func()) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until the condition holds.
func (p *pair) await(what string, holds func() bool) error {
	return p.awaitBy(what, holds, func() {}, patience)
}

// awaitBy waits until the condition holds. It calls nudge, without the lock, after every
// change and again after the given time.
func (p *pair) awaitBy(what string, holds func() bool, nudge func(), again time.Duration) error {
	timeout, tick := time.NewTimer(patience), time.NewTicker(again)
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
			return fmt.Errorf("%s: not within %s", what, patience)
		}
	}
}

func (p *pair) run(rounds int) error {
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
func (p *pair) cross(int) error {
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
func (p *pair) settle(int) error {
	return p.await("one connection", func() bool {
		a, b := p.lower().live, p.upper().live

		return p.both(func(s *side) bool { return s.dialed && s.live != nil }) &&
			a.token == b.greeting && b.token == a.greeting && a.outbound && !b.outbound
	})
}

// exchange sends a message each way.
func (p *pair) exchange(n int) error {
	msg := fmt.Sprint("round ", n)
	for _, s := range p.sides {
		peers := s.sw.Peers().List()
		if len(peers) != 1 || peers[0].ID() != s.remote.addr.ID {
			return fmt.Errorf("%d peers are in the set of a node", len(peers))
		}
		if !peers[0].Send(Channel, []byte(msg)) {
			return errors.New("a message was not taken")
		}
	}

	return p.await("a message each way", func() bool {
		return p.both(func(s *side) bool { return s.live.received(msg) })
	})
}

// disconnect ends the connection on one end or on both, and waits until both nodes have no
// peer and their events say so.
func (p *pair) disconnect(n int) error {
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
func (p *pair) stop(t *testing.T) {
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
func (p *pair) String() string {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return fmt.Sprintf("lower ID {%s}, higher ID {%s}", p.lower(), p.upper())
}
