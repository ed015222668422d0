package adapter

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func requireSlots(t *testing.T, n *node, taken, limit uint64, outboundPeers int) {
	t.Helper()
	gotTaken, gotLimit := n.OutboundSlots()
	require.Equal(t, taken, gotTaken, "slots taken")
	require.Equal(t, limit, gotLimit)
	require.EqualValues(t, outboundPeers, n.Peers().NumOutbound())
}

// An inbound connection that has inherited the slot of this node's own dial keeps
// it: counting outbound peers alone would lead to a search for another one.
func TestOutboundSlotsAfterCrossedDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		high := newNode(t, network, WithMaxInboundPeers(0), WithMaxOutboundPeers(1))
		low := twinBelow(t, network, high.id())
		defer start(t, low, high)()
		requireSlots(t, high, 0, 1, 0)
		connect(t, high, low)
		requireSlots(t, high, 1, 1, 1)

		conn, err := low.tr.Dial(t.Context(), *high.addr(), low.behavior)
		require.NoError(t, err)
		low.admit(t.Context(), conn)
		synctest.Wait()
		requireOneConnection(t, low, high, "replaced")
		requireSlots(t, high, 1, 1, 0)

		high.StopPeerForError(high.Peers().Get(low.id()), nil)
		synctest.Wait()
		requireSlots(t, high, 0, 1, 0)
	})
}

func TestOutboundSlotsOfExemptPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		free, a, b := newNode(t, network), newNode(t, network), newNode(t, network)
		n := newNode(t, network, WithMaxOutboundPeers(1), WithUnconditionalPeers([]types.ID{free.id()}),
			WithPersistentPeers([]*types.NetAddress{a.addr(), b.addr()}))
		defer start(t, free, a, b)()
		defer start(t, n)()
		synctest.Wait()
		requireSlots(t, n, 2, 1, 2)
		connect(t, n, free)
		requireSlots(t, n, 2, 1, 3)
	})
}

// A newcomer waits in an inbound slot for the peer that gives way to it. Meanwhile outbound slots
// become free, and a peer of the newcomer's own machine takes one. The newcomer then gets the
// outbound slot of the dial that it crosses: the one in which it has waited is free again.
func TestNewcomerChangesItsSlotWhileItWaits(t *testing.T) {
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, WithMaxInboundPeers(2), WithMaxOutboundPeers(2))
	r := &sw.registry
	var conns []*connection
	reserve := func(who *candidate) *connection {
		t.Helper()
		c := &connection{id: who.id, started: true, outbound: who.outbound, gone: make(chan struct{})}
		former, err := r.reserve(c, who)
		require.NoError(t, err)
		if former == nil {
			conns = append(conns, c)
		}

		return former
	}
	at := func(id int, outbound bool, ip string) *candidate {
		who := sw.candidate(testID(id), outbound, net.ParseIP(ip), "")
		who.crosses = !outbound && who.host == hostOfIP("10.0.0.1")

		return &who
	}
	for i, ip := range []string{"9.1.1.1", "9.1.2.1"} {
		require.Nil(t, reserve(at(i, false, ip)))
	}
	for i, ip := range []string{"8.1.1.1", "8.2.1.1"} {
		require.Nil(t, reserve(at(2+i, true, ip)))
	}
	waiting := at(4, false, "10.0.0.1")
	loser := reserve(waiting)
	require.NotNil(t, loser)
	for _, c := range conns[2:] {
		r.vacate(c)
		r.release(c)
	}
	conns = conns[:2]
	require.Nil(t, reserve(at(5, false, "10.0.0.1")))
	r.vacate(loser)
	r.release(loser)
	require.Nil(t, reserve(waiting))
	r.endReserve(*waiting)
	require.EqualValues(t, 1, r.taken[slotInbound])
	require.EqualValues(t, 2, r.taken[slotOutbound])

	for _, c := range conns {
		if c != loser {
			r.vacate(c)
			r.release(c)
		}
	}
	require.Zero(t, r.taken[slotInbound])
	require.Zero(t, r.taken[slotOutbound])
}
