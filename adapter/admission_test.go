package adapter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// bothWays runs a test on a stack whose handshake carries refusals and on one
// where only the switch refuses.
func bothWays(t *testing.T, f func(t *testing.T, prepare func(...*node))) {
	t.Run("asked in the handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, func(...*node) {}) })
	})
	t.Run("decided by the switch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(nodes ...*node) {
				for _, n := range nodes {
					n.tr.SkipAdmission()
				}
			})
		})
	})
}

func TestInboundLimit(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		a, b, c := newNode(t, network), newNode(t, network), newNode(t, network)
		info := network.NewNodeInfo(chA, chB)
		hub := newNode(t, network, WithMaxInboundPeers(2), WithPersistentPeers([]*types.NetAddress{info.NetAddress}))
		prepare(a, b, c, hub)
		defer start(t, a, b, c, hub)()
		connect(t, a, hub)
		connect(t, b, hub)

		evs, cancel := hub.Subscribe(func(e events.Event) bool { return e.Type() != events.DialFailed })
		defer cancel()
		c.DialPeers(hub.addr())
		synctest.Wait()
		require.False(t, hub.Peers().Has(c.id()))
		require.Empty(t, c.Peers().List())
		require.Zero(t, c.tr.NumPeers())
		refusals := collect(evs)
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(refusals))
		require.Equal(t, c.id(), refusals[0].(events.PeerRejectedEvent).PeerID)
		requireCode(t, compat.RejectFull, refusals[0].(events.PeerRejectedEvent).Reason)
		for _, part := range []string{"all 2 inbound slots are taken", "max_num_inbound_peers", "unconditional_peer_ids"} {
			require.ErrorContains(t, refusals[0].(events.PeerRejectedEvent).Reason, part)
		}

		tr, err := network.NewTransportFor(info)
		require.NoError(t, err)
		friend := newNodeOn(t, tr, nil)
		prepare(friend)
		defer start(t, friend)()
		connect(t, friend, hub)
		require.EqualValues(t, 3, hub.Peers().NumInbound(), "a persistent peer is exempt")

		// A slot that becomes free can be taken.
		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		hub.StopPeerForError(hub.Peers().Get(b.id()), nil)
		synctest.Wait()
		connect(t, c, hub)
	})
}

func TestInboundLimitHoldsForManyAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		const limit, dialers = 5, 40
		network := memory.NewNetwork()
		hub := newNode(t, network, WithMaxInboundPeers(limit))
		nodes := []*node{hub}
		for range dialers {
			nodes = append(nodes, newNode(t, network))
		}
		prepare(nodes...)
		defer start(t, nodes...)()
		for _, n := range nodes[1:] {
			n.DialPeers(hub.addr())
		}
		synctest.Wait()
		require.EqualValues(t, limit, hub.Peers().NumInbound())
		require.Equal(t, limit, hub.tr.NumPeers(), "refused connections are closed")
		require.Equal(t, limit, hub.reactor.count("add"))
		require.Equal(t, limit, hub.reactor.count("init"), "the limit is decided before InitPeer")
	})
}

func TestNoDialsBeyondTheOutboundLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		hub := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithMaxOutboundPeers(1))
		nodes := []*node{hub}
		for range 3 * maxDials {
			nodes = append(nodes, newNode(t, network))
			hub.DialPeers(nodes[len(nodes)-1].addr())
		}
		defer start(t, nodes...)()
		synctest.Wait()
		require.EqualValues(t, 1, hub.Peers().NumOutbound())
		require.LessOrEqual(t, len(counter.times), maxDials, "what waited is dropped")
	})
}

func TestOutboundLimit(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		const limit = 3
		network := memory.NewNetwork()
		friend := newNode(t, network)
		hub := newNode(t, network, WithMaxOutboundPeers(limit), WithPersistentPeers([]*types.NetAddress{friend.addr()}))
		nodes := []*node{hub, friend}
		for range 12 {
			nodes = append(nodes, newNode(t, network))
		}
		prepare(nodes...)
		defer start(t, nodes...)()
		pass(2 * time.Second)
		require.True(t, hub.Peers().Has(friend.id()))
		for _, n := range nodes[2:] {
			hub.DialPeers(n.addr())
		}
		synctest.Wait()
		require.EqualValues(t, limit, hub.Peers().NumOutbound())
		require.Equal(t, limit, hub.tr.NumPeers())
		require.Zero(t, hub.dials.hints.len())

		hub.StopPeerForError(hub.Peers().Get(friend.id()), nil)
		synctest.Wait()
		for _, n := range nodes[2:] {
			if !hub.Peers().Has(n.id()) {
				connect(t, hub, n)

				break
			}
		}
		pass(2 * time.Second)
		require.True(t, hub.Peers().Has(friend.id()), "a persistent peer is exempt")
		require.EqualValues(t, limit+1, hub.Peers().NumOutbound())
	})
}

// twin is another node with the identity of n.
func twin(t *testing.T, network *memory.Network, n *node, host byte) *node {
	t.Helper()
	info := n.tr.NodeInfo()
	addr := *info.NetAddress
	addr.IP = net.IPv4(10, 200, 0, host)
	info.NetAddress = &addr
	tr, err := network.NewTransportFor(info)
	require.NoError(t, err)

	return newNodeOn(t, tr, nil)
}

func TestSelfIsRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		a := newNode(t, network)
		mirror := twin(t, network, a, 1)
		prepare(a, mirror)
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a)()
		a.DialPeers(a.addr())
		synctest.Wait()
		require.Empty(t, collect(evs), "the own address is not dialed")

		// The switch of the twin would not dial its own ID; its transport does.
		_, err := mirror.tr.Dial(t.Context(), *a.addr(), mirror.behavior)
		synctest.Wait()
		require.Empty(t, a.Peers().List())
		if err != nil {
			requireCode(t, compat.RejectSelf, err) // as the dialer has found out by itself
		} else {
			got := collect(evs)
			require.Len(t, got, 1)
			requireCode(t, compat.RejectSelf, got[0].(events.PeerRejectedEvent).Reason)
		}
		require.NoError(t, mirror.tr.Close())
	})
}

func TestDuplicateOfTheSameDirectionIsRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		second := twin(t, network, a, 1)
		prepare(a, b, second)
		defer start(t, a, b, second)()
		connect(t, a, b)
		peer := b.Peers().Get(a.id())

		second.DialPeers(b.addr())
		synctest.Wait()
		require.Same(t, peer, b.Peers().Get(a.id()))
		require.True(t, peer.IsRunning())
		require.Equal(t, []string{"init", "add"}, b.reactor.entries())
		require.Empty(t, second.Peers().List())
		require.Equal(t, 1, b.tr.NumPeers())
	})
}

func TestAdmitPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		stranger := memory.NewNetwork().NewNodeInfo()
		ask := func(n *node, addr *types.NetAddress, outbound bool) error {
			return n.behavior.AdmitPeer(compat.ConnInfo{SocketAddr: addr, Outbound: outbound}, types.NodeInfo{})
		}
		require.NoError(t, ask(a, stranger.NetAddress, false))
		require.NoError(t, ask(a, stranger.NetAddress, true))
		requireCode(t, compat.RejectSelf, ask(a, a.addr(), false))
		requireCode(t, compat.RejectDuplicate, ask(a, b.addr(), true))
		crossed := ask(a, b.addr(), false) // b would have dialed it
		if b.id() < a.id() {
			require.NoError(t, crossed)
		} else {
			requireCode(t, compat.RejectDuplicate, crossed)
		}
		require.Equal(t, 1, len(a.Peers().List()), "asking changes nothing")
		require.NoError(t, a.Stop())
		requireCode(t, compat.RejectClosing, ask(a, stranger.NetAddress, false))
	})
}

func TestRefusalReachesTheDialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network, WithMaxInboundPeers(0))
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		synctest.Wait()
		got := collect(evs)
		require.Equal(t, []events.EventType{events.DialFailed}, eventTypes(got))
		var reject *compat.RejectError
		require.ErrorAs(t, got[0].(events.DialFailedEvent).Reason, &reject)
		require.Equal(t, compat.RejectFull, reject.Code)
		require.True(t, reject.Remote)
	})
}

// jitter delays what comes out of Dial and Accept, so that crossed dials meet in
// every order.
func jitter(rng *rand.Rand) func(*memory.Transport) compat.Transport {
	return func(tr *memory.Transport) compat.Transport {
		d, a := time.Duration(1+rng.IntN(4)), time.Duration(1+rng.IntN(4))

		return &acceptHook{
			Transport: &dialHook{Transport: tr, dial: func(ctx context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
				conn, err := tr.Dial(ctx, addr, b)
				task.Sleep(ctx, d*time.Millisecond)

				return conn, err
			}},
			accept: func(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
				conn, err := tr.Accept(ctx, b)
				task.Sleep(ctx, a*time.Millisecond)

				return conn, err
			},
		}
	}
}

func TestCrossedDials(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		rng := rand.New(rand.NewPCG(1, 2))
		for round := range 200 {
			network := memory.NewNetwork()
			a := newNodeOn(t, network.NewTransport(chA, chB), jitter(rng))
			b := newNodeOn(t, network.NewTransport(chA, chB), jitter(rng))
			prepare(a, b)
			stop := start(t, a, b)
			a.DialPeers(b.addr())
			if steps := rng.IntN(6); steps > 0 {
				task.Sleep(t.Context(), time.Duration(steps)*time.Millisecond/2)
			}
			b.DialPeers(a.addr())
			pass(time.Second)
			requireOneConnection(t, a, b, fmt.Sprint("round ", round))
			stop()
			requirePaired(t, a.reactor)
			requirePaired(t, b.reactor)
		}
	})
}

func requireOneConnection(t *testing.T, a, b *node, msg string) {
	t.Helper()
	require.Len(t, a.Peers().List(), 1, msg)
	require.Len(t, b.Peers().List(), 1, msg)
	require.Equal(t, 1, a.tr.NumPeers(), msg)
	require.Equal(t, 1, b.tr.NumPeers(), msg)
	pa, pb := a.Peers().Get(b.id()), b.Peers().Get(a.id())
	require.NotEqual(t, pa.IsOutbound(), pb.IsOutbound(), msg)
	require.True(t, pa.Send(chA, []byte(msg)))
	require.True(t, pb.Send(chA, []byte(msg)))
	synctest.Wait()
	require.Equal(t, 1, a.reactor.count("receive "+msg), msg)
	require.Equal(t, 1, b.reactor.count("receive "+msg), msg)
}

// requirePaired checks that each peer of a reactor that knew one peer at a time
// went through the callbacks in order.
func requirePaired(t *testing.T, r *testReactor) {
	t.Helper()
	// A peer that is stopped before it is started is not added.
	follows := map[string][]string{"init": {"remove"}, "add": {"init"}, "remove": {"add", "init"}}
	last := "remove"
	for _, e := range r.entries() {
		before, isStep := follows[e]
		if !isStep {
			continue
		}
		require.Contains(t, before, last, "%v", r.entries())
		last = e
	}
	require.Equal(t, "remove", last, "%v", r.entries())
}

func TestCrossedConnectionReplacesTheFormer(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		low, high := newNode(t, network), newNode(t, network)
		if high.id() < low.id() {
			low, high = high, low
		}
		prepare(low, high)
		evs, cancel := high.Subscribe(nil)
		defer cancel()
		defer start(t, low, high)()
		connect(t, high, low) // the higher ID dialed: this one loses

		conn, err := low.tr.Dial(t.Context(), *high.addr(), low.behavior)
		require.NoError(t, err)
		low.admit(t.Context(), conn)
		synctest.Wait()
		require.True(t, low.Peers().Get(high.id()).IsOutbound())
		requireOneConnection(t, low, high, "replaced")
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerConnected, events.PeerDisconnected, events.PeerConnected}, eventTypes(got))
		requireCode(t, compat.RejectDuplicate, got[1].(events.PeerDisconnectedEvent).Reason)
	})
}

// Two nodes that dial each other must not end without a connection because the
// one that stays finds no slot of its direction.
func TestReplacementTakesTheSlotOver(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		low, other := newNode(t, network), newNode(t, network)
		high := newNode(t, network, WithMaxInboundPeers(0), WithMaxOutboundPeers(1))
		if high.id() < low.id() {
			low = twinBelow(t, network, high.id())
		}
		prepare(low, high, other)
		defer start(t, low, high, other)()
		connect(t, high, low) // the higher ID dialed: this one loses

		conn, err := low.tr.Dial(t.Context(), *high.addr(), low.behavior)
		require.NoError(t, err)
		low.admit(t.Context(), conn)
		synctest.Wait()
		requireOneConnection(t, low, high, "replaced")
		require.False(t, high.Peers().Get(low.id()).IsOutbound())
		require.True(t, high.registry.outboundFull(), "outbound peers do not turn into inbound ones without limit")
		require.Zero(t, high.registry.taken[slotInbound])

		other.DialPeers(high.addr())
		synctest.Wait()
		require.False(t, high.Peers().Has(other.id()), "there is no inbound slot")
		high.StopPeerForError(high.Peers().Get(low.id()), errTest)
		synctest.Wait()
		require.Zero(t, high.registry.taken[slotOutbound], "the slot is free again")
		require.Zero(t, high.registry.taken[slotInbound])
	})
}

// A candidate that took a slot over and does not come in gives it back.
func TestSlotTakenOverIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		low, high := newNode(t, network), newNode(t, network, WithMaxInboundPeers(0), WithMaxOutboundPeers(1))
		if high.id() < low.id() {
			low = twinBelow(t, network, high.id())
		}
		receiving, release := make(chan struct{}), make(chan struct{})
		high.reactor.onReceive = func(byte, compat.PeerConn, []byte) { close(receiving); <-release }
		defer start(t, low, high)()
		connect(t, high, low)
		require.True(t, low.Peers().Get(high.id()).Send(chA, []byte("hold")))
		<-receiving // the former connection cannot be removed now

		_, err := low.tr.Dial(t.Context(), *high.addr(), low.behavior)
		require.NoError(t, err)
		pass(2 * formerTimeout)
		require.Zero(t, high.registry.taken[slotOutbound])
		require.False(t, high.Peers().Get(low.id()).IsRunning())
		close(release)
		synctest.Wait()
		require.Zero(t, high.registry.taken[slotOutbound])
		require.Zero(t, high.registry.taken[slotInbound])
		require.Empty(t, high.Peers().List())
	})
}

// A candidate that waits for one connection of its peer after the other takes over one slot.
func TestOneSlotIsTakenOver(t *testing.T) {
	const id, self types.ID = "a", "b" // the connection that the lower ID has dialed stays
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: self}}, WithMaxInboundPeers(0), WithMaxOutboundPeers(2))
	r := &sw.registry
	dialed := func() *connection {
		c, who := &connection{id: id, outbound: true}, sw.candidate(id, true, testIP(1), "")
		former, err := r.reserve(c, &who)
		require.NoError(t, err)
		require.Nil(t, former)

		return c
	}
	end := func(c *connection) {
		r.vacate(c)
		r.release(c)
	}
	accepted, who := &connection{id: id}, sw.candidate(id, false, testIP(1), "")
	for range 2 {
		dialed := dialed()
		former, err := r.reserve(accepted, &who)
		require.NoError(t, err)
		require.Same(t, dialed, former)
		end(dialed)
		require.Equal(t, 1, int(r.taken[slotOutbound]))
	}
	former, err := r.reserve(accepted, &who)
	require.NoError(t, err)
	require.Nil(t, former)
	r.endReserve(who)
	require.Equal(t, 1, int(r.taken[slotOutbound]))
	end(accepted)
	require.Zero(t, r.taken[slotOutbound])
	require.Zero(t, r.taken[slotInbound])
}

// twinBelow makes a node whose ID is lower than the given one.
func twinBelow(t *testing.T, network *memory.Network, id types.ID) *node {
	t.Helper()
	info := network.NewNodeInfo(chA, chB)
	for info.NetAddress.ID >= id {
		info.NetAddress.ID = types.GenerateNodeKey().ID()
	}
	tr, err := network.NewTransportFor(info)
	require.NoError(t, err)

	return newNodeOn(t, tr, nil)
}

func TestDialedPeerIsSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		other := newNode(t, network)
		a := newNodeOn(t, network.NewTransport(chA), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(ctx context.Context, _ types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
				return tr.Dial(ctx, *other.addr(), b)
			}}
		})
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a, other)()
		a.DialPeers(network.NewNodeInfo().NetAddress)
		synctest.Wait()
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(got))
		requireCode(t, compat.RejectIdentity, got[0].(events.PeerRejectedEvent).Reason)
		require.Empty(t, a.Peers().List())
		require.Zero(t, a.tr.NumPeers())
	})
}
