package adapter

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// requireSchedule checks that the waits between the times are the given ones,
// 10 % more or less, but not all exact.
func requireSchedule(t *testing.T, times []time.Time, want ...time.Duration) {
	t.Helper()
	require.Len(t, times, len(want)+1)
	exact := 0
	for i, w := range want {
		got := times[i+1].Sub(times[i])
		require.InDelta(t, w.Seconds(), got.Seconds(), redialJitter*w.Seconds()+1e-9, "wait %d", i)
		if got == w {
			exact++
		}
	}
	require.Less(t, exact, len(want), "no jitter")
}

const s = time.Second

func TestRedialSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		addr := network.NewNodeInfo().NetAddress // refuses at once
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{addr, nil}))
		begin := time.Now()
		defer start(t, a)()
		pass(140 * s)
		times := counter.dials(addr.ID)
		require.Equal(t, begin, times[0])
		requireSchedule(t, times[:9], 1*s, 2*s, 4*s, 8*s, 16*s, 30*s, 30*s, 30*s)
	})
}

func TestRedialAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		b := newNode(t, network)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{b.addr()}))
		defer start(t, b, a)()
		synctest.Wait()
		require.Len(t, counter.dials(b.id()), 1)
		require.True(t, a.Peers().Get(b.id()).IsPersistent())
		lose := func() time.Time {
			b.StopPeerForError(b.Peers().Get(a.id()), errTest)
			synctest.Wait()

			return time.Now()
		}
		last := func() time.Time {
			all := counter.dials(b.id())

			return all[len(all)-1]
		}

		// Lost soon after it came, it is redialed ever more slowly.
		for _, want := range []time.Duration{1 * s, 2 * s, 4 * s, 8 * s} {
			lost := lose()
			require.False(t, a.Peers().Has(b.id()))
			pass(want + want/5)
			require.True(t, a.Peers().Has(b.id()))
			require.InDelta(t, want.Seconds(), last().Sub(lost).Seconds(), redialJitter*want.Seconds())
		}

		// Lost after a stable time it is redialed at once, and then from the start.
		pass(stableUptime)
		lost := lose()
		require.Equal(t, lost, last())
		require.True(t, a.Peers().Has(b.id()))
		lost = lose()
		pass(2 * s)
		require.InDelta(t, 1, last().Sub(lost).Seconds(), redialJitter)
	})
}

func TestPersistentPeerThatDialsUsIsNotRedialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		info := network.NewNodeInfo(chA, chB)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{info.NetAddress}))
		defer start(t, a)()
		pass(5 * s) // b is down: dials at 0, 1 and 3 s, the next at 7 s
		require.Len(t, counter.dials(info.NetAddress.ID), 3)

		tr, err := network.NewTransportFor(info)
		require.NoError(t, err)
		b := newNodeOn(t, tr, nil)
		defer start(t, b)()
		connect(t, b, a)
		require.Zero(t, a.dials.redials.len(), "what was queued is dropped")
		pass(time.Hour)
		require.Len(t, counter.dials(b.id()), 3)

		a.StopPeerForError(a.Peers().Get(b.id()), nil)
		synctest.Wait()
		require.Len(t, counter.dials(b.id()), 4)
		pass(2 * s) // the first redial may find that b has not noticed yet
		require.True(t, a.Peers().Get(b.id()).IsOutbound())
	})
}

func TestOwnAddressAmongPersistentPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		tr := network.NewTransport(chA, chB)
		self := tr.NetAddress()
		a := newNodeOn(t, tr, counter.wrap, WithPersistentPeers([]*types.NetAddress{&self}))
		defer start(t, a)()
		pass(time.Minute)
		require.Empty(t, counter.dials(a.id()))
	})
}

// A connection to a persistent peer may be lost at any point of its dial and of
// its admission; it is dialed again in every case.
func TestPersistentPeerIsNeverForgotten(t *testing.T) {
	for name, arm := range map[string]func(n *node, failures *atomic.Int64){
		"refused by InitPeer": func(n *node, failures *atomic.Int64) {
			n.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
				if failures.Add(-1) >= 0 {
					panic("not yet")
				}

				return p
			}
		},
		"stopped in AddPeer": func(n *node, failures *atomic.Int64) {
			n.reactor.onAdd = func(p compat.PeerConn) {
				if failures.Add(-1) >= 0 {
					n.StopPeerForError(p, errTest)
				}
			}
		},
		"does not start": func(n *node, failures *atomic.Int64) {
			n.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
				if failures.Add(-1) >= 0 {
					return &failing{p}
				}

				return p
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := compattest.NewNetwork()
				b := newNode(t, network)
				a := newNode(t, network, WithPersistentPeers([]*types.NetAddress{b.addr()}))
				var failures atomic.Int64
				failures.Store(3)
				arm(a, &failures)
				defer start(t, b, a)()
				pass(6 * s)
				require.False(t, a.Peers().Has(b.id()))
				pass(2 * s)
				require.True(t, a.Peers().Has(b.id()), "redialed after 1, 2 and 4 s")
			})
		})
	}
}

func TestMutualPersistentPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		ta, tb := network.NewTransport(chA, chB), network.NewTransport(chA, chB)
		addrA, addrB := ta.NetAddress(), tb.NetAddress()
		a := newNodeOn(t, ta, nil, WithPersistentPeers([]*types.NetAddress{&addrB}))
		b := newNodeOn(t, tb, nil, WithPersistentPeers([]*types.NetAddress{&addrA}))
		defer start(t, a, b)()
		for range 20 {
			pass(40 * s)
			require.Len(t, a.Peers().List(), 1)
			require.Len(t, b.Peers().List(), 1)
			require.Equal(t, 1, a.tr.NumPeers())
			a.StopPeerForError(a.Peers().Get(b.id()), errTest)
		}
	})
}

func TestRedialStopsWithTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		var dials atomic.Int64
		a := newNodeOn(t, network.NewTransport(chA), func(tr *compattest.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(context.Context, types.NetAddress, compat.PeerBehavior) (compat.PeerConn, error) {
				dials.Add(1)

				return nil, errTest
			}}
		}, WithPersistentPeers([]*types.NetAddress{network.NewNodeInfo().NetAddress}))
		stop := start(t, a)
		pass(10 * s)
		stop()
		before := dials.Load()
		pass(time.Hour)
		require.Equal(t, before, dials.Load())
	})
}

// A peer whose inbound connection is being admitted is not dialed, and not
// forgotten when the admission fails.
func TestPersistentPeerThatIsBeingAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		info := network.NewNodeInfo(chA, chB)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{info.NetAddress}))
		leave := make(chan struct{})
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			if !p.IsOutbound() {
				<-leave
				panic("not this one")
			}

			return p
		}
		defer start(t, a)()
		synctest.Wait()
		tr, err := network.NewTransportFor(info)
		require.NoError(t, err)
		b := newNodeOn(t, tr, nil)
		defer start(t, b)()
		b.DialPeers(a.addr())
		pass(time.Minute)
		require.Equal(t, 1, a.reactor.count("init"))
		require.Len(t, counter.dials(b.id()), 1)

		close(leave)
		pass(40 * s)
		require.True(t, a.Peers().Get(b.id()).IsOutbound())
	})
}

func TestOneDialOfAPeerAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		b := newNode(t, network)
		counter.dead[b.id()] = true
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{b.addr()}))
		defer start(t, a)()
		synctest.Wait()
		defer start(t, b)()
		connect(t, b, a) // while the dial of a hangs
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		pass(dialTimeout - 1)
		require.Len(t, counter.dials(b.id()), 1)
		pass(3 * s)
		require.Len(t, counter.dials(b.id()), 2)
	})
}
