package adapter

import (
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
