package discovery_test

import (
	"net/netip"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
)

// inquire connects to the node as a stranger.
func inquire(t *testing.T, n *node) *lp2p.Inquiry {
	t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), n.addr().Port)
	q, err := lp2p.Inquire(t.Context(), n.t.Host().ID(), at)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })

	return q
}

// A stranger is told the members of a node's table, and is not in it afterwards.
func TestNeighbors(t *testing.T) {
	first := newNode(t, spec{})
	want := map[peer.ID]*node{}
	for range 4 {
		n := newNode(t, spec{seeds: []*node{first}})
		want[n.t.Host().ID()] = n
	}
	q := inquire(t, first)
	require.EventuallyWithT(t, func(c *assert.CollectT) { // they enter one after the other
		found, err := discovery.Neighbors(t.Context(), q, "test")
		assert.NoError(c, err)
		assert.Len(c, found, len(want))
	}, patience, walkInterval)
	found, err := discovery.Neighbors(t.Context(), q, "test")
	require.NoError(t, err)
	for _, n := range found {
		require.Contains(t, want, n.Peer)
		require.Equal(t, want[n.Peer].id(), n.ID)
		require.Contains(t, n.At, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), want[n.Peer].addr().Port))
	}
}

func TestNeighborsOfOtherNodes(t *testing.T) {
	q := inquire(t, newNode(t, spec{network: "other"}))
	_, err := discovery.Neighbors(t.Context(), q, "test")
	require.ErrorIs(t, err, discovery.ErrNoMember)
	_, err = discovery.Neighbors(t.Context(), q, "")
	require.ErrorContains(t, err, "no network")
	q = inquire(t, newNode(t, spec{silent: true}))
	_, err = discovery.Neighbors(t.Context(), q, "test")
	require.ErrorIs(t, err, discovery.ErrNoMember)
}
