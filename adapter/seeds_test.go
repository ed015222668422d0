package adapter

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// rounds returns the times of all dials, in order.
func (d *dialCounter) rounds() (times []time.Time) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	for _, at := range d.times {
		times = append(times, at...)
	}
	slices.SortFunc(times, time.Time.Compare)

	return times
}

// requireRounds checks that rounds are at least the wait apart, and at most the
// jitter more, but not all alike.
func requireRounds(t *testing.T, times []time.Time, wait time.Duration) {
	t.Helper()
	require.Greater(t, len(times), 2)
	waits := make(map[time.Duration]bool)
	for i := range times[1:] {
		got := times[i+1].Sub(times[i])
		waits[got] = true
		require.GreaterOrEqual(t, got, wait, "round %d", i)
		require.LessOrEqual(t, got.Seconds(), wait.Seconds()*(1+seedJitter), "round %d", i)
	}
	require.Greater(t, len(waits), 1, "no jitter")
}

// closedAddresses returns addresses at which nobody listens.
func closedAddresses(network *memory.Network, n int) (addrs []*types.NetAddress) {
	for range n {
		addrs = append(addrs, network.NewNodeInfo().NetAddress)
	}

	return addrs
}

func TestSeedsAreAskedOneByOneAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		seeds := closedAddresses(network, 3)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds(seeds))
		begin := time.Now()
		defer start(t, a)()
		synctest.Wait()
		require.Equal(t, []time.Time{begin}, counter.rounds(), "one seed, at the start")
		pass(10 * time.Minute)
		requireRounds(t, counter.rounds(), seedWaitAlone)
		require.GreaterOrEqual(t, len(counter.rounds()), 100)
		for _, seed := range seeds {
			require.NotEmpty(t, counter.dials(seed.ID), "never chosen in 100 rounds")
		}
		require.Equal(t, 1, counter.maxActive())
	})
}

// A seed that does not answer delays the next one, which begins as soon as it has
// failed.
func TestSeedsThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds(deadAddresses(network, counter, 3)))
		defer start(t, a)()
		pass(10*DefaultDialTimeout - 1)
		times := counter.rounds()
		require.Len(t, times, 10)
		require.Equal(t, 9*DefaultDialTimeout, times[9].Sub(times[0]))
		require.Equal(t, 1, counter.maxActive())
	})
}

func TestSeedsAreAskedSeldomWithPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds(closedAddresses(network, 2)))
		b := newNode(t, network)
		defer start(t, a, b)()
		connect(t, b, a)
		pass(10 * time.Minute)
		requireRounds(t, counter.rounds(), seedWait)
		require.GreaterOrEqual(t, len(counter.rounds()), 16)

		// The loss of the last peer shortens the wait that runs.
		pass(10 * s)
		before := len(counter.rounds())
		last := counter.rounds()[before-1]
		lost := time.Now()
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		pass(seedWaitAlone * 12 / 10)
		times := counter.rounds()
		require.Greater(t, len(times), before)
		require.LessOrEqual(t, times[before].Sub(maxTime(last, lost)), seedWaitAlone*12/10)
	})
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}

func TestNoSeedIsAskedWhile(t *testing.T) {
	for name, c := range map[string]struct {
		opts   []SwitchOption
		before func(a *node, network *memory.Network, counter *dialCounter)
		wait   time.Duration
	}{
		"no outbound slot is free": {opts: []SwitchOption{WithMaxOutboundPeers(0)}, wait: time.Hour},
		"a hint is being dialed": {
			wait: seedWaitStalled,
			opts: []SwitchOption{WithDialTimeout(time.Hour)},
			before: func(a *node, network *memory.Network, counter *dialCounter) {
				a.DialPeers(deadAddresses(network, counter, 1)...)
			},
		},
		"hints wait": {
			wait: seedWaitStalled,
			opts: []SwitchOption{WithDialTimeout(time.Hour)},
			before: func(a *node, network *memory.Network, counter *dialCounter) {
				a.DialPeers(deadAddresses(network, counter, 2*maxDials)...)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				counter := newDialCounter()
				seed := closedAddresses(network, 1)[0]
				a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap,
					append(c.opts, WithSeeds([]*types.NetAddress{seed}))...)
				if c.before != nil {
					c.before(a, network, counter)
				}
				defer start(t, a)()
				pass(c.wait - 1)
				require.Empty(t, counter.dials(seed.ID))
			})
		})
	}
}

// Whoever keeps naming dead addresses does not keep a node from its seeds.
func TestSeedIsAskedWhileHintsAreInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		seed := closedAddresses(network, 1)[0]
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds([]*types.NetAddress{seed}))
		liar := newNode(t, network)
		a.DialPeers(deadAddresses(network, counter, 1)...)
		defer start(t, a, liar)()
		connect(t, liar, a)
		for range 20 * 60 / 3 { // 20 minutes; a dial takes 10 s
			a.DialPeers(deadAddresses(network, counter, 1)...)
			pass(3 * time.Second)
		}
		asked := counter.dials(seed.ID)
		require.Len(t, asked, 10)
		for i := range asked[1:] {
			require.Equal(t, seedWaitStalled, asked[i+1].Sub(asked[i]))
		}
	})
}

func TestSeedGoesBeforeHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		seed := closedAddresses(network, 1)[0]
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap,
			WithSeeds([]*types.NetAddress{seed}), WithDialTimeout(time.Hour))
		a.DialPeers(deadAddresses(network, counter, 2*maxQueuedDials)...)
		defer start(t, a)()
		pass(seedWaitStalled + time.Hour/youngShare)
		require.NotEmpty(t, counter.dials(seed.ID))
	})
}

func TestNoSeedIsAskedWhileHintsBringPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		seed := closedAddresses(network, 1)[0]
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds([]*types.NetAddress{seed}))
		a.DialPeers(deadAddresses(network, counter, 1)...)
		defer start(t, a)()
		for i := range 200 { // 10 minutes, with a new peer each 90 s
			if i%30 == 29 {
				friend := newNode(t, network)
				defer start(t, friend)()
				a.DialPeers(friend.addr())
			}
			a.DialPeers(deadAddresses(network, counter, 1)...)
			pass(3 * time.Second)
		}
		require.Len(t, a.Peers().List(), 6)
		require.Empty(t, counter.dials(seed.ID))
	})
}

func TestSeedsThatAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		tr := network.NewTransport(chA, chB)
		self := tr.NetAddress()
		friend := closedAddresses(network, 1)[0]
		guest := newNode(t, network)
		a := newNodeOn(t, tr, counter.wrap,
			WithPersistentPeers([]*types.NetAddress{friend}),
			WithSeeds([]*types.NetAddress{&self, friend, guest.addr()}))
		defer start(t, guest, a)()
		synctest.Wait()
		require.True(t, a.Peers().Get(guest.id()).IsOutbound())
		pass(time.Hour)
		requireSchedule(t, counter.dials(friend.ID)[:9], 1*s, 2*s, 4*s, 8*s, 16*s, 30*s, 30*s, 30*s)
		require.LessOrEqual(t, len(counter.dials(friend.ID)), 140, "a persistent peer has its own schedule")
		require.Len(t, counter.dials(guest.id()), 1, "connected")
		require.Empty(t, counter.dials(self.ID), "the node itself")

		// It is asked again, as any seed, when it is gone.
		a.StopPeerForError(a.Peers().Get(guest.id()), errTest)
		synctest.Wait()
		require.Len(t, counter.dials(guest.id()), 2, "the wait was over long ago")
	})
}

// A seed counts as any other outbound peer, and what it tells is dialed before
// another seed is asked.
func TestSeedIsAnOrdinaryPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		seedA, seedB, known := newNode(t, network), newNode(t, network), newNode(t, network)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithMaxOutboundPeers(2),
			WithSeeds([]*types.NetAddress{seedA.addr(), seedB.addr()}))
		a.reactor.onAdd = func(compat.PeerConn) { a.DialPeers(known.addr()) }
		defer start(t, seedA, seedB, known, a)()
		pass(time.Hour)
		require.EqualValues(t, 2, a.Peers().NumOutbound())
		require.True(t, a.Peers().Has(known.id()))
		require.Len(t, counter.rounds(), 2)
		for _, p := range a.Peers().List() {
			require.False(t, p.IsPersistent())
		}

		// A slot that comes free is for another seed.
		a.reactor.onAdd = nil
		a.StopPeerForError(a.Peers().Get(known.id()), errTest)
		synctest.Wait()
		require.True(t, a.Peers().Has(seedA.id()))
		require.True(t, a.Peers().Has(seedB.id()))
	})
}

func TestSeedsEndWithTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithSeeds(closedAddresses(network, 2)))
		stop := start(t, a)
		pass(time.Minute)
		stop()
		before := len(counter.rounds())
		pass(time.Hour)
		require.Len(t, counter.rounds(), before)
	})
}
