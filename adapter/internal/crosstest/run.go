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

// redial is how long a node that has been told to dial may take to begin: a switch
// ignores an address whose last dial is just ending, and does not tell when it has
// ended.
const redial = 10 * time.Millisecond

var errRoundOver = errors.New("the round is over")

// Options say what is tested.
type Options struct {
	// Pairs of nodes dial each other side by side, each for the given rounds.
	Pairs, Rounds int

	// NewTransport returns a transport on channel Channel that listens on loopback
	// and is closed by the test's cleanup, after the switch is stopped.
	NewTransport func(t *testing.T) compat.Transport
}

// Run runs the rounds. The nodes are used for all rounds of their pair.
func Run(t *testing.T, o Options) {
	t.Helper()
	pairs := make([]*pair, o.Pairs)
	for i := range pairs {
		pairs[i] = newPair(t, o)
	}
	var wg sync.WaitGroup
	errs := make([]error, o.Pairs)
	for i, p := range pairs {
		wg.Go(func() { errs[i] = p.run(o.Rounds) })
	}
	wg.Wait()

	var total tally
	for i, p := range pairs {
		require.NoError(t, errs[i], "pair %d: %s", i, p)
		p.stop(t)
		total.add(p.lower.tally)
		total.add(p.upper.tally)
	}
	t.Logf("%d rounds: %s", o.Pairs*o.Rounds, total)
	require.GreaterOrEqual(t, total.connected, 2*o.Pairs*o.Rounds)
}

// pair is two nodes that dial each other, and what is known of them.
type pair struct {
	lower, upper *side

	mtx     sync.Mutex
	changed chan struct{} // closed and replaced with every change
	release chan struct{} // of the round; closed when both dials are under way
}

func newPair(t *testing.T, o Options) *pair {
	t.Helper()
	p := &pair{changed: make(chan struct{}), release: make(chan struct{})}
	a, b := newSide(p, o.NewTransport(t)), newSide(p, o.NewTransport(t))
	p.lower, p.upper = a, b
	if b.addr.ID < a.addr.ID {
		p.lower, p.upper = b, a
	}
	p.lower.remote, p.upper.remote = p.upper, p.lower
	for _, s := range p.sides() {
		s.start(t)
	}

	return p
}

func (p *pair) sides() []*side { return []*side{p.lower, p.upper} }

// change tells those who wait of a change.
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

// awaitBy calls nudge, without the lock, whenever something has changed and the
// condition does not hold, and again after the given time.
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

// cross lets both dial, holds the dials until both are under way, and releases
// them by the close of one channel.
func (p *pair) cross(int) error {
	p.change(func() {
		p.release = make(chan struct{})
		for _, s := range p.sides() {
			s.dialing, s.dialed = false, false
		}
	})
	err := p.awaitBy("both dial", func() bool { return p.lower.dialing && p.upper.dialing }, func() {
		for _, s := range p.sides() {
			s.dial()
		}
	}, redial)
	close(p.release)

	return err
}

// settle waits for the connection that is to stay, on both ends.
func (p *pair) settle(int) error {
	return p.await("one connection", func() bool {
		a, b := p.lower.live, p.upper.live
		if !p.lower.dialed || !p.upper.dialed || a == nil || b == nil {
			return false
		}
		if a.token != b.greeting || b.token != a.greeting || a.outbound == b.outbound {
			return false
		}

		return a.outbound
	})
}

// exchange sends a message each way.
func (p *pair) exchange(n int) error {
	msg := fmt.Sprint("round ", n)
	for _, s := range p.sides() {
		peers := s.sw.Peers().List()
		if len(peers) != 1 || peers[0].ID() != s.remote.addr.ID {
			return fmt.Errorf("%d peers are in the set of a node", len(peers))
		}
		if !peers[0].Send(Channel, []byte(msg)) {
			return errors.New("a message was not taken")
		}
	}

	return p.await("a message each way", func() bool {
		return p.lower.live.received(msg) && p.upper.live.received(msg)
	})
}

// disconnect ends the connection, on one end or on both, and waits until both
// nodes have no peer and have told of all that they had.
func (p *pair) disconnect(n int) error {
	switch n % 4 {
	case 0:
		p.lower.stopPeer()
	case 1:
		p.upper.stopPeer()
	case 2:
		if peer := p.lower.sw.Peers().Get(p.upper.addr.ID); peer != nil {
			if err := peer.Stop(); err != nil {
				return err
			}
		}
	case 3:
		var wg sync.WaitGroup
		wg.Go(p.lower.stopPeer)
		wg.Go(p.upper.stopPeer)
		wg.Wait()
	}

	return p.await("no connection", func() bool { return p.lower.alone() && p.upper.alone() })
}

// stop ends both nodes and checks what they were told over all rounds.
func (p *pair) stop(t *testing.T) {
	t.Helper()
	for _, s := range p.sides() {
		s.stop(t)
	}
	p.mtx.Lock()
	defer p.mtx.Unlock()
	for _, s := range p.sides() {
		require.Empty(t, s.faults)
		require.Nil(t, s.live)
		require.Empty(t, s.links, "what was initialised was removed")
		require.Equal(t, s.connected, s.disconnected, "events")
		require.Equal(t, s.added, s.connected, "each AddPeer has its event")
	}
}

// String describes the pair for a failure.
func (p *pair) String() string {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return fmt.Sprintf("lower ID {%s}, higher ID {%s}", p.lower.describe(), p.upper.describe())
}
