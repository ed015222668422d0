package adapter

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestHintsAreDialedConcurrentlyAndInOrder(t *testing.T) {
	for _, timeout := range []time.Duration{DefaultDialTimeout, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			counter := newDialCounter()
			a := newNodeOn(t, network.NewTransport(chA), counter.wrap, WithDialTimeout(timeout))
			addrs := deadAddresses(network, counter, 4*maxDials)
			defer start(t, a)()
			synctest.Wait()
			begin := time.Now()
			a.DialPeers(addrs...)
			synctest.Wait()
			require.Equal(t, maxDials, counter.maxActive())
			pass(timeout - 1)
			require.Equal(t, len(addrs), counter.nowActive(), "each has its whole timeout")
			for i, addr := range addrs {
				dials := counter.dials(addr.ID)
				require.Len(t, dials, 1)
				round := time.Duration(i / maxDials)
				require.Equal(t, round*timeout/youngShare, dials[0].Sub(begin), "address %d", i)
			}
			pass(timeout)
			require.Zero(t, counter.nowActive())
			require.Empty(t, a.dials.dialing)
			require.Empty(t, a.dials.young)
		})
	}
}

// A hint names the same peer whatever the form of its ID.
func TestHintsByAnyFormOfAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		other, blocked := newNode(t, network), newNode(t, network)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap)
		defer start(t, a, other, blocked)()
		require.NoError(t, a.BlockPeer(blocked.id()))
		upper := func(n *node) *types.NetAddress {
			addr := n.addr()
			addr.ID = types.ID(strings.ToUpper(addr.ID.String()))

			return addr
		}
		a.DialPeers(upper(a), upper(blocked), upper(other), other.addr())
		synctest.Wait()
		require.True(t, a.Peers().Has(other.id()))
		require.Len(t, counter.times, 1)
		require.Len(t, counter.dials(other.id()), 1)
	})
}

// Addresses that answer at once, with a refusal, make room at once.
func TestHintsThatFailMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA), counter.wrap)
		for range maxQueuedDials {
			a.DialPeers(network.NewNodeInfo().NetAddress)
		}
		begin := time.Now()
		defer start(t, a)()
		synctest.Wait()
		require.Zero(t, time.Since(begin))
		require.Len(t, counter.times, maxQueuedDials)
		require.LessOrEqual(t, counter.maxActive(), maxDials)
	})
}

// Even a transport that does not end its dials gets no more than the bound.
func TestRunningDialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		release := make(chan struct{})
		friend := network.NewNodeInfo().NetAddress
		a := newNodeOn(t, network.NewTransport(chA), func(*memory.Transport) compat.Transport {
			return &dialHook{dial: func(_ context.Context, a types.NetAddress, _ compat.PeerBehavior) (compat.PeerConn, error) {
				counter.begin(a.ID)
				defer counter.end()
				<-release

				return nil, errTest
			}, Transport: network.NewTransport(chA)}
		}, WithPersistentPeers([]*types.NetAddress{friend}))
		defer start(t, a)()
		for range 2 {
			a.DialPeers(deadAddresses(network, counter, maxQueuedDials)...)
			pass(2 * DefaultDialTimeout)
			require.Equal(t, maxQueuedDials+1, counter.nowActive(), "and the persistent peer")
		}
		require.Equal(t, maxQueuedDials, a.dials.hints.len())
		close(release)
		synctest.Wait()
		require.Zero(t, counter.nowActive())
		require.Zero(t, a.dials.hints.len(), "those that waited had their turn")
		require.Equal(t, maxQueuedDials+1, counter.maxActive())
		require.NoError(t, a.transport.(*dialHook).Transport.(*memory.Transport).Close())
	})
}

func TestDialQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNode(t, network)
		counter := newDialCounter()
		a.DialPeers(deadAddresses(network, counter, maxQueuedDials+100)...)
		require.Equal(t, maxQueuedDials, a.dials.hints.len())
		require.NoError(t, a.tr.Close())
	})
}

func TestDeadAddressesDelayNoLivePeer(t *testing.T) {
	const dead = 1000
	t.Run("dead hints, persistent peer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			counter := newDialCounter()
			live := newNode(t, network)
			a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{live.addr()}))
			a.DialPeers(deadAddresses(network, counter, dead)...)
			defer start(t, live, a)()
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()), "no time has passed")
			live.StopPeerForError(live.Peers().Get(a.id()), nil)
			pass(2 * firstRedial)
			require.True(t, a.Peers().Has(live.id()))
		})
	})
	t.Run("dead persistent peers, live ones of both kinds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			counter := newDialCounter()
			live, hint := newNode(t, network), newNode(t, network)
			addrs := append(deadAddresses(network, counter, dead), live.addr())
			a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers(addrs))
			defer start(t, live, hint, a)()
			a.DialPeers(hint.addr())
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()))
			require.True(t, a.Peers().Has(hint.id()))
		})
	})
	for name, c := range map[string]struct {
		timeout time.Duration
		dead    int
	}{
		"dead hints, live hint":    {DefaultDialTimeout, dead},
		"as many as wait":          {DefaultDialTimeout, maxQueuedDials - 1},
		"with a timeout of minute": {time.Minute, maxQueuedDials - 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				counter := newDialCounter()
				live := newNode(t, network)
				a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap,
					WithDialTimeout(c.timeout), WithMaxOutboundPeers(2))
				a.DialPeers(deadAddresses(network, counter, c.dead)...)
				a.DialPeers(live.addr())
				defer start(t, live, a)()
				pass(c.timeout)
				require.True(t, a.Peers().Has(live.id()))

				// As many again while the first run on.
				a.StopPeerForError(a.Peers().Get(live.id()), errTest)
				a.DialPeers(deadAddresses(network, counter, c.dead)...)
				a.DialPeers(live.addr())
				pass(c.timeout)
				require.True(t, a.Peers().Has(live.id()))
				require.Len(t, counter.dials(live.id()), 2)
				require.LessOrEqual(t, counter.maxActive(), maxQueuedDials)
			})
		})
	}
	t.Run("hints that do not resolve", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			live := newNode(t, network)
			a := newNode(t, network)
			defer start(t, live, a)()
			for range dead - 1 {
				a.DialPeers(network.NewNodeInfo().NetAddress)
			}
			a.DialPeers(live.addr())
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()))
		})
	})
}

// When the slots are filled, what waits is dropped and what is being dialed is
// given up, except those that need no slot.
func TestFullSlotsEndDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		live := newNode(t, network)
		friend := deadAddresses(network, counter, 1)[0]
		guest := deadAddresses(network, counter, 1)[0]
		dead := deadAddresses(network, counter, 100)
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithMaxOutboundPeers(1),
			WithPersistentPeers([]*types.NetAddress{friend}), WithUnconditionalPeers([]types.ID{guest.ID}))
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, live, a)()
		a.DialPeers(guest)
		a.DialPeers(dead...)
		synctest.Wait()
		require.Equal(t, maxDials+1, counter.nowActive(), "and the persistent peer")

		connect(t, live, a)
		require.False(t, a.registry.outboundFull(), "an inbound peer takes no outbound slot")
		require.Equal(t, maxDials+1, counter.nowActive())
		live.StopPeerForError(live.Peers().Get(a.id()), errTest)
		synctest.Wait()
		a.DialPeers(live.addr())
		pass(DefaultDialTimeout / 2)
		require.True(t, a.Peers().Has(live.id()))
		require.Equal(t, 2, counter.nowActive(), "the persistent and the unconditional peer")
		require.Zero(t, a.dials.hints.len())
		for _, e := range collect(evs) {
			require.NotEqual(t, events.DialFailed, e.Type(), "%v", e)
		}

		pass(DefaultDialTimeout/2 - 1)
		require.Empty(t, collect(evs))
		pass(1)
		for _, e := range collect(evs) {
			require.Contains(t, []types.ID{friend.ID, guest.ID}, e.(events.DialFailedEvent).Address.ID)
		}
	})
}
