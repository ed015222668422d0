package adapter

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestSeedHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		inbound, outbound, next := newNode(t, network), newNode(t, network), newNode(t, network)
		friend, guest := newNode(t, network), newNode(t, network)
		seed := newNode(t, network, WithMaxInboundPeers(1), WithSeedMode(time.Minute),
			WithPersistentPeers([]*types.NetAddress{friend.addr()}), WithUnconditionalPeers([]types.ID{guest.id()}))
		defer start(t, inbound, outbound, next, friend, guest, seed)()
		ended, cancel := seed.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
		defer cancel()
		connect(t, inbound, seed)
		connect(t, seed, outbound)
		connect(t, guest, seed)
		require.True(t, seed.Peers().Has(friend.id()))
		next.DialPeers(seed.addr())
		pass(time.Minute - 1)
		require.Len(t, seed.Peers().List(), 4)
		require.Empty(t, collect(ended))

		pass(1)
		require.Len(t, seed.Peers().List(), 2, "exempt peers stay")
		require.Empty(t, inbound.Peers().List())
		require.Empty(t, outbound.Peers().List())
		for _, e := range collect(ended) {
			requireCode(t, compat.RejectUnavailable, e.(events.PeerDisconnectedEvent).Reason)
		}
		connect(t, next, seed)

		// A peer that is no longer exempt is hung up, too.
		require.True(t, seed.RemovePersistentPeer(friend.id()))
		pass(2 * time.Minute)
		require.Equal(t, []types.ID{guest.id()}, []types.ID{seed.Peers().List()[0].ID()})
		require.Len(t, seed.Peers().List(), 1)
	})
}

// The seed dials others before it dials a peer again that it has hung up. Such a peer may
// dial it at any time.
func TestSeedDialsOthersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		seed, a, b := newNode(t, network, WithSeedMode(time.Minute)), newNode(t, network), newNode(t, network)
		defer start(t, seed, a, b)()
		connect(t, seed, a)
		pass(time.Minute)
		seed.DialPeers(a.addr(), b.addr())
		synctest.Wait()
		require.False(t, seed.Peers().Has(a.id()))
		require.True(t, seed.Peers().Has(b.id()))
		connect(t, a, seed)
		pass(time.Minute)
		require.Empty(t, seed.Peers().List())
		seed.DialPeers(a.addr())
		synctest.Wait()
		require.Empty(t, seed.Peers().List())
		pass(seedRest)
		connect(t, seed, a)
	})
}

// No more peers are noted than addresses may wait.
func TestRestingPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer()
		for i := range 2 * maxQueuedDials {
			d.rest(types.ID(fmt.Sprint(i)))
		}
		require.Len(t, d.hungUp, maxQueuedDials)
		time.Sleep(seedRest)
		d.rest("next")
		require.Len(t, d.hungUp, 1)
		require.True(t, d.rests("next"))
	})
}

func TestOtherNodesKeepTheirPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		pass(24 * time.Hour)
		require.True(t, a.Peers().Has(b.id()))
	})
}

func TestSeedUptimeMustBePositive(t *testing.T) {
	n := newNode(t, memory.NewNetwork(), WithSeedMode(0))
	require.ErrorIs(t, n.Start(), compat.ErrInvalidOption)
	require.NoError(t, n.tr.Close())
}
