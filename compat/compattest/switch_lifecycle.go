package compattest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func lifecyclePromises() []switchPromise {
	return []switchPromise{
		{"Lifecycle/SetSwitchBeforeStart", testSetSwitchBeforeStart},
		{"Lifecycle/ReactorsStartBeforePeers", testReactorsStartBeforePeers},
		{"Lifecycle/Order", testOrder},
		{"Lifecycle/ReactorOrder", testReactorOrder},
		{"Lifecycle/EachReactorHears", testEachReactorHears},
		{"Lifecycle/InitPeerFollowsRemovePeer", testInitPeerFollowsRemovePeer},
		{"Lifecycle/RemovedOnce", testRemovedOnce},
		{"Lifecycle/RemovedAfterFailedStart", testRemovedAfterFailedStart},
	}
}

func testSetSwitchBeforeStart(t *testing.T, c *cluster) {
	var r *recorder
	n := c.node(t, func(s *nodeSetup) { r = s.reactor })
	require.Len(t, n.log.kind(switchSet), 1)
	require.NotNil(t, r.Switch)
	require.Empty(t, n.log.kind(started))
	require.NoError(t, n.Start())
	require.Len(t, n.log.kind(started), 1)
}

// Reactors are started before the first peer is added, although one peer dials the node and
// the node dials another.
func testReactorsStartBeforePeers(t *testing.T, c *cluster) {
	target := c.started(t)
	n := c.node(t, func(s *nodeSetup) {
		s.PersistentPeers = []*types.NetAddress{target.address()}
		s.addReactor("second")
		s.addReactor("third")
	})
	dialer := c.started(t, func(s *nodeSetup) {
		s.PersistentPeers = []*types.NetAddress{n.address()}
	})
	require.NoError(t, n.Start())
	c.await(t, "both peers are connected", func() bool {
		return n.log.count(connected, target.id()) > 0 && n.log.count(connected, dialer.id()) > 0
	})

	startedReactors := 0
	for _, e := range n.log.all(func(entry) bool { return true }) {
		switch e.what {
		case started:
			startedReactors++
		case initPeer, addPeer, received:
			require.Equal(t, 3, startedReactors, "reactors that run when a peer comes")
		}
	}
}

// step is the part of an entry that is the same in every run.
type step struct {
	what           what
	running, inSet bool
}

func testOrder(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	c.disconnect(t, a, b)
	for end, n := range map[string]*switchNode{"dialer": a, "listener": b} {
		other := b.id()
		if n == b {
			other = a.id()
		}
		var steps []step
		for _, e := range n.log.of(other) {
			steps = append(steps, step{e.what, e.running, e.inSet})
		}
		require.Equal(t, []step{
			{initPeer, false, false},
			{addPeer, true, true},
			{connected, false, true},
			{removePeer, false, true},
			{removed, false, true},
			{disconnected, false, false},
		}, steps, end)
	}
}

func testReactorOrder(t *testing.T, c *cluster) {
	more := func(s *nodeSetup) {
		s.addReactor("second")
		s.addReactor("third")
		s.addReactor("fourth")
	}
	a, b := c.started(t, more), c.started(t, more)
	c.connect(t, a, b)
	for _, n := range []*switchNode{a, b} {
		for _, w := range []what{switchSet, started, initPeer, addPeer} {
			var names []string
			for _, e := range n.log.kind(w) {
				names = append(names, e.by)
			}
			require.Equal(t, []string{"recorder", "second", "third", "fourth"}, names, w)
		}
	}
}

func testEachReactorHears(t *testing.T, c *cluster) {
	more := func(s *nodeSetup) { s.addReactor("second"); s.addReactor("third") }
	a, b := c.started(t, more), c.started(t, more)
	c.connect(t, a, b)
	c.disconnect(t, b, a)
	phase := map[what]int{initPeer: 0, addPeer: 1, connected: 2, removePeer: 3, removed: 3, disconnected: 4}
	for _, n := range []*switchNode{a, b} {
		for _, name := range []string{"recorder", "second", "third"} {
			for _, w := range []what{initPeer, addPeer, removed} {
				calls := n.log.all(func(e entry) bool { return e.by == name && e.what == w })
				require.Len(t, calls, 1, "%s of %s", w, name)
			}
		}
		last := 0
		for _, e := range n.log.all(func(e entry) bool { return e.id != "" }) {
			require.GreaterOrEqual(t, phase[e.what], last, "each step ends for all reactors before the next begins")
			last = phase[e.what]
		}
	}
}

// InitPeer of a peer that reconnects waits until its RemovePeer has returned.
func testInitPeerFollowsRemovePeer(t *testing.T, c *cluster) {
	removing, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	var once sync.Once
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onRemove = func(compat.PeerConn) {
			once.Do(func() {
				close(removing)
				<-held
			})
		}
	})
	a := c.started(t, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{b.address()} })
	c.await(t, "the nodes are connected", func() bool {
		return a.log.count(connected, b.id()) > 0 && b.log.count(connected, a.id()) > 0
	})
	stopping := done(func() { b.StopPeerForError(b.Peers().Get(a.id()), errTest) })
	await(t, removing, "RemovePeer is called")
	c.await(t, "the peer dials again", func() bool {
		return a.log.count(initPeer, b.id()) > 1 || a.log.count(failed, b.id()) > 0
	})
	release()
	await(t, stopping, "StopPeerForError returns")
	c.await(t, "the peer is back", func() bool { return b.log.count(connected, a.id()) > 1 })

	inside := false
	for _, e := range b.log.of(a.id()) {
		switch e.what {
		case removePeer:
			inside = true
		case removed:
			inside = false
		case initPeer, addPeer:
			require.False(t, inside, "%s while RemovePeer of the former connection runs", e.what)
		}
	}
}

// RemovePeer is called once although both ends stop the peer several times concurrently.
func testRemovedOnce(t *testing.T, c *cluster) {
	const rounds = 9
	a, b := c.started(t), c.started(t)
	for round := range rounds {
		atA, atB := c.connect(t, a, b)
		var wg sync.WaitGroup
		for range 3 {
			if round%3 != 0 {
				wg.Go(func() { a.StopPeerForError(atA, errTest) })
			}
			if round%3 != 1 {
				wg.Go(func() { b.StopPeerForError(atB, errTest) })
			}
		}
		wg.Wait()
		c.awaitApart(t, a, b)
	}
	require.NoError(t, a.Stop())
	require.NoError(t, b.Stop())
	for _, w := range []what{initPeer, addPeer, removed} {
		require.Equal(t, rounds, a.log.count(w, b.id()), "%s at the dialer", w)
		require.Equal(t, rounds, b.log.count(w, a.id()), "%s at the listener", w)
	}
}

// wrappedPeer is a peer that a reactor's InitPeer returns in place of its argument.
type wrappedPeer struct {
	compat.PeerConn
	startErr error // what Start returns instead of starting, if set
}

func (p *wrappedPeer) Start() error {
	if p.startErr != nil {
		return p.startErr
	}

	return p.PeerConn.Start()
}

func testRemovedAfterFailedStart(t *testing.T, c *cluster) {
	a, other := c.started(t), c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			if p.ID() != a.id() {
				return p
			}

			return &wrappedPeer{PeerConn: p, startErr: errors.New("does not start")}
		}
	})
	again := c.repeatHangUpsUnless(t, a, b, 0, func() bool { return b.log.count(initPeer, a.id()) > 0 }) // the peer does not start
	a.DialPeers(b.address())
	c.await(t, "InitPeer is made good by RemovePeer", func() bool {
		again()

		return b.log.count(removed, a.id()) > 0
	})
	c.awaitRefused(t, a, b.id(), 1)
	require.False(t, b.Peers().Has(a.id()))
	c.connect(t, other, b)
	c.exchange(t, other, b)
	require.NoError(t, b.Stop())
	require.Equal(t, 1, b.log.count(initPeer, a.id()))
	require.Equal(t, 1, b.log.count(removed, a.id()))
	require.Zero(t, b.log.count(addPeer, a.id()))
	require.Zero(t, b.log.count(connected, a.id()))
}
