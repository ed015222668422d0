package adapter

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A transport keeps places for configured peers at their configured IPs, and where they
// connected from last.
func TestReservesConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		friend, u, a := newNode(t, network), newNode(t, network), newNode(t, network)
		configured := types.NetAddress{ID: friend.id(), IP: net.ParseIP("2606:4700::1"), Port: 1}
		hub := newNode(t, network, WithPersistentPeers([]*types.NetAddress{&configured}), WithUnconditionalPeers([]types.ID{u.id()}))
		defer start(t, friend, u, a, hub)()
		reserves := func(ip net.IP) bool { return hub.behavior.ReservesConn(ip) }
		require.True(t, reserves(net.ParseIP("2606:4700::2")), "the same /64")
		require.False(t, reserves(net.ParseIP("2606:4700:0:1::1")))
		require.False(t, reserves(u.addr().IP), "it has not been there yet")
		require.False(t, reserves(nil))

		for _, n := range []*node{friend, u, a} {
			connect(t, n, hub)
		}
		require.True(t, reserves(friend.addr().IP))
		require.True(t, reserves(u.addr().IP))
		require.False(t, reserves(a.addr().IP), "a stranger")
		require.NoError(t, u.Stop())
		synctest.Wait()
		require.True(t, reserves(u.addr().IP), "it may come back")

		require.NoError(t, hub.BlockPeer(u.id()))
		require.False(t, reserves(u.addr().IP))
		require.True(t, hub.RemovePersistentPeer(friend.id()))
		require.False(t, reserves(friend.addr().IP))
		require.False(t, reserves(configured.IP))
		require.NoError(t, hub.AddPersistentPeer(configured))
		require.True(t, reserves(configured.IP))
		require.False(t, reserves(friend.addr().IP), "forgotten")
	})
}
