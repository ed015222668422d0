package adapter

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// An unconditional peer comes in whatever is taken, and takes nothing.
func TestUnconditionalPeersInbound(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		u, v, a, b := newNode(t, network), newNode(t, network), newNode(t, network), newNode(t, network)
		hub := newNode(t, network, WithMaxInboundPeers(1), WithUnconditionalPeers([]types.ID{u.id(), v.id()}))
		prepare(u, v, a, b, hub)
		defer start(t, u, v, a, b, hub)()
		connect(t, u, hub)
		connect(t, a, hub)
		connect(t, v, hub)
		b.DialPeers(hub.addr())
		synctest.Wait()
		require.False(t, hub.Peers().Has(b.id()))
		require.EqualValues(t, 3, hub.Peers().NumInbound())
		require.EqualValues(t, 1, hub.registry.taken[slotInbound])

		// Its end frees no slot either.
		hub.StopPeerForError(hub.Peers().Get(u.id()), nil)
		synctest.Wait()
		b.DialPeers(hub.addr())
		synctest.Wait()
		require.False(t, hub.Peers().Has(b.id()))
		connect(t, u, hub)
		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		synctest.Wait()
		connect(t, b, hub)
	})
}

func TestUnconditionalPeersOutbound(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		u, a, b := newNode(t, network), newNode(t, network), newNode(t, network)
		hub := newNode(t, network, WithMaxOutboundPeers(1), WithUnconditionalPeers([]types.ID{u.id()}))
		prepare(u, a, b, hub)
		defer start(t, u, a, b, hub)()
		connect(t, hub, u)
		connect(t, hub, a)
		require.True(t, hub.registry.outboundFull())
		hub.DialPeers(b.addr())
		synctest.Wait()
		require.False(t, hub.Peers().Has(b.id()))
	})
}

// Transports hear of which peers strangers must not take the places.
func TestConfiguredPeersAreExempt(t *testing.T) {
	network := memory.NewNetwork()
	u, p, a := newNode(t, network), newNode(t, network), newNode(t, network)
	hub := newNode(t, network, WithUnconditionalPeers([]types.ID{u.id()}),
		WithPersistentPeers([]*types.NetAddress{p.addr()}))
	require.True(t, hub.behavior.IsExemptPeer(u.id()))
	require.True(t, hub.behavior.IsExemptPeer(p.id()))
	require.False(t, hub.behavior.IsExemptPeer(a.id()))
}

// Unlike those, a persistent peer takes a slot that others then do not have.
func TestPersistentPeersAreCounted(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		friend, both, a := newNode(t, network), newNode(t, network), newNode(t, network)
		elsewhere := []*types.NetAddress{friend.addr(), both.addr()}
		for _, addr := range elsewhere {
			addr.Port++ // nobody is there: they dial
		}
		hub := newNode(t, network, WithMaxInboundPeers(1),
			WithPersistentPeers(elsewhere), WithUnconditionalPeers([]types.ID{both.id()}))
		prepare(friend, both, a, hub)
		defer start(t, friend, both, a, hub)()
		connect(t, both, hub)
		require.Zero(t, hub.registry.taken[slotInbound], "one that is both is not counted")
		connect(t, friend, hub)
		a.DialPeers(hub.addr())
		synctest.Wait()
		require.False(t, hub.Peers().Has(a.id()))
		hub.StopPeerForError(hub.Peers().Get(friend.id()), nil)
		synctest.Wait()
		connect(t, a, hub)
		connect(t, friend, hub)
		require.EqualValues(t, 2, hub.registry.taken[slotInbound])
	})
}

// Who hears of a peer's end may dial, and be dialed by, another peer at once.
func TestSlotIsFreeWhenTheEndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNodeAt(t, network, sharedIP, 1)
		hub := newNode(t, network, WithMaxOutboundPeers(1))
		var free, guarded, reserved bool
		_, cancel := hub.Subscribe(func(e events.Event) bool {
			if e.Type() == events.PeerDisconnected { // within the notification
				free = !hub.registry.outboundFull()
				guarded = hub.registry.admissible(hub.candidate(testID(1), false, sharedIP, "")) != nil
				reserved = hub.registry.byID[a.id()] != nil
			}

			return false
		})
		defer cancel()
		defer start(t, a, hub)()
		connect(t, hub, a)
		require.Error(t, hub.registry.admissible(hub.candidate(testID(1), false, sharedIP, "")))
		hub.StopPeerForError(hub.Peers().Get(a.id()), nil)
		require.True(t, free)
		require.False(t, guarded)
		require.True(t, reserved, "the events of one peer stay in order")
		requireForgotten(t, hub)
	})
}
