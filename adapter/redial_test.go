package adapter

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
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
		network := memory.NewNetwork()
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
		network := memory.NewNetwork()
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
		network := memory.NewNetwork()
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
		network := memory.NewNetwork()
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
				network := memory.NewNetwork()
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
		network := memory.NewNetwork()
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
		network := memory.NewNetwork()
		var dials atomic.Int64
		a := newNodeOn(t, network.NewTransport(chA), func(tr *memory.Transport) compat.Transport {
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
		network := memory.NewNetwork()
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
		network := memory.NewNetwork()
		counter := newDialCounter()
		b := newNode(t, network)
		counter.dead[b.id()] = true
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{b.addr()}))
		defer start(t, a)()
		synctest.Wait()
		defer start(t, b)()
		connect(t, b, a) // while the dial of a hangs
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		pass(DefaultDialTimeout - 1)
		require.Len(t, counter.dials(b.id()), 1)
		pass(3 * s)
		require.Len(t, counter.dials(b.id()), 2)
	})
}

func TestRedialWait(t *testing.T) {
	for failures, want := range map[uint]time.Duration{
		1: 1 * s, 2: 2 * s, 3: 4 * s, 4: 8 * s, 5: 16 * s, 6: 30 * s, 7: 30 * s, 64: 30 * s, 65: 30 * s, 1 << 40: 30 * s,
	} {
		var least, most time.Duration = want, want
		for range 1000 {
			got := redialWait(failures)
			least, most = min(least, got), max(most, got)
		}
		require.InDelta(t, 0.9*want.Seconds(), least.Seconds(), 0.02*want.Seconds(), "after %d", failures)
		require.GreaterOrEqual(t, least.Seconds(), 0.9*want.Seconds())
		require.InDelta(t, 1.1*want.Seconds(), most.Seconds(), 0.02*want.Seconds(), "after %d", failures)
		require.LessOrEqual(t, most.Seconds(), 1.1*want.Seconds())
	}
}

// A connection that was lost just before it was stable does not start the
// schedule over.
func TestRedialAfterAnUnstableConnection(t *testing.T) {
	for uptime, want := range map[time.Duration]time.Duration{stableUptime - 1: 4 * s, stableUptime: 0} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			counter := newDialCounter()
			info := network.NewNodeInfo(chA, chB)
			a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{info.NetAddress}))
			defer start(t, a)()
			pass(1500 * time.Millisecond) // it is down: two dials fail, the third is due at 3 s
			tr, err := network.NewTransportFor(info)
			require.NoError(t, err)
			b := newNodeOn(t, tr, nil)
			defer start(t, b)()
			for !a.Peers().Has(b.id()) {
				pass(time.Millisecond)
			}
			dials := counter.dials(b.id())
			require.Len(t, dials, 3)
			pass(uptime - time.Since(dials[2]))
			a.StopPeerForError(a.Peers().Get(b.id()), errTest)
			lost := time.Now()
			pass(want + want/5)
			dials = counter.dials(b.id())
			require.Greater(t, len(dials), 3)
			require.InDelta(t, want.Seconds(), dials[3].Sub(lost).Seconds(), redialJitter*want.Seconds()+1e-9, "uptime %s", uptime)
		})
	}
}

// A peer that hangs, one that refuses, one that is lost and a thousand that are
// dead do not change each other's times, and no limit holds for them.
func TestPersistentPeersHaveTheirOwnClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		dead := deadAddresses(network, counter, 1000)
		refuses := network.NewNodeInfo().NetAddress
		b, c := newNode(t, network, WithMaxInboundPeers(0)), newNode(t, network)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithMaxOutboundPeers(0),
			WithPersistentPeers(append([]*types.NetAddress{refuses, b.addr(), c.addr()}, dead...)))
		b.lists.persistent[a.id()] = *a.addr() // nor does the limit of the other side
		b.dials.redials.push(&dial{addr: *a.addr(), persistent: true}, time.Now().Add(time.Hour))
		begin := time.Now()
		defer start(t, b, c, a)()
		synctest.Wait()
		require.Len(t, a.Peers().List(), 2)
		for range 3 {
			pass(stableUptime + 5*s)
			c.StopPeerForError(c.Peers().Get(a.id()), errTest)
			synctest.Wait()
			require.True(t, a.Peers().Has(c.id()), "redialed at once")
		}
		times := counter.dials(refuses.ID)
		require.Equal(t, begin, times[0])
		requireSchedule(t, times[:8], 1*s, 2*s, 4*s, 8*s, 16*s, 30*s, 30*s)
		require.Len(t, counter.dials(b.id()), 1)
		for _, addr := range dead {
			// The wait is counted from the end of the dial before.
			times := counter.dials(addr.ID)
			require.GreaterOrEqual(t, len(times), 5)
			for i := range times {
				times[i] = times[i].Add(time.Duration(-i) * DefaultDialTimeout)
			}
			requireSchedule(t, times[:5], 1*s, 2*s, 4*s, 8*s)
		}
	})
}

// The switch dials what was configured, whatever address a connection had, and
// leaves it to the transport to look a host name up, each time anew.
func TestRedialsTheConfiguredAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		b := newNode(t, network)
		configured := types.NetAddress{ID: b.id(), Hostname: "node.example", Port: b.addr().Port}
		var resolves atomic.Bool
		var mtx sync.Mutex
		var dialed []types.NetAddress
		var times []time.Time
		soFar := func() ([]types.NetAddress, []time.Time) {
			mtx.Lock()
			defer mtx.Unlock()

			return slices.Clone(dialed), slices.Clone(times)
		}
		a := newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(ctx context.Context, addr types.NetAddress, pb compat.PeerBehavior) (compat.PeerConn, error) {
				mtx.Lock()
				dialed, times = append(dialed, addr), append(times, time.Now())
				mtx.Unlock()
				if !resolves.Load() {
					return nil, fmt.Errorf("dial: %w", &net.DNSError{Err: "no such host", Name: addr.Hostname, IsNotFound: true})
				}
				addr.IP, addr.Hostname = b.addr().IP, ""

				return tr.Dial(ctx, addr, pb)
			}}
		}, WithPersistentPeers([]*types.NetAddress{&configured}))
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, b, a)()
		pass(70 * s)
		_, begun := soFar()
		requireSchedule(t, begun[:7], 1*s, 2*s, 4*s, 8*s, 16*s, 30*s)
		got := collect(evs)
		require.Len(t, got, len(begun))
		for _, e := range got {
			var unresolved *net.DNSError
			require.ErrorAs(t, e.(events.DialFailedEvent).Reason, &unresolved)
			require.Equal(t, configured, e.(events.DialFailedEvent).Address)
		}

		resolves.Store(true)
		pass(40 * s)
		require.True(t, a.Peers().Has(b.id()))
		// Lost, connected from the other side, and lost again.
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		synctest.Wait()
		require.False(t, a.Peers().Has(b.id()))
		connect(t, b, a)
		require.False(t, a.Peers().Get(b.id()).IsOutbound())
		pass(stableUptime)
		before, _ := soFar()
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		synctest.Wait()
		require.True(t, a.Peers().Get(b.id()).IsOutbound())
		all, _ := soFar()
		require.Greater(t, len(all), len(before))
		for _, addr := range all {
			require.Equal(t, configured, addr)
		}
	})
}
