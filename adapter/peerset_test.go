package adapter

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func testID(i int) types.ID { return types.ID(fmt.Sprintf("g1test%02d", i)) }

// named is a peer for the set.
type named struct {
	compat.PeerConn
	id       types.ID
	outbound bool
}

func (n *named) ID() types.ID     { return n.id }
func (n *named) IsOutbound() bool { return n.outbound }

func TestPeerSet(t *testing.T) {
	set := newPeerSet()
	require.Nil(t, set.Get("nobody"))
	require.True(t, set.Get("nobody") == nil, "the nil interface")
	require.False(t, set.Has("nobody"))
	require.False(t, set.Remove("nobody"))
	require.NotNil(t, set.List())
	require.Empty(t, set.List())

	a, b := &named{id: testID(1), outbound: true}, &named{id: testID(2)}
	set.Add(a)
	set.Add(b)
	set.Add(&named{id: testID(1)})
	require.Same(t, a, set.Get(testID(1)), "an ID that is there is ignored")
	require.EqualValues(t, 1, set.NumInbound())
	require.EqualValues(t, 1, set.NumOutbound())

	list := set.List()
	require.ElementsMatch(t, []compat.PeerConn{a, b}, list)
	list[0], list[1] = nil, nil
	require.ElementsMatch(t, []compat.PeerConn{a, b}, set.List(), "the slice is the caller's")

	require.True(t, set.Remove(testID(1)))
	require.False(t, set.Remove(testID(1)))
	require.Zero(t, set.NumOutbound())
	require.Empty(t, set.connections(), "peers of a caller are not broadcast to")
}

func TestPeerSetRemovesByConnection(t *testing.T) {
	set := newPeerSet()
	former := &connection{id: testID(1), peer: &named{id: testID(1)}}
	latter := &connection{id: testID(1), peer: &named{id: testID(1)}}
	require.NoError(t, set.addConnection(former))
	require.ErrorIs(t, set.addConnection(latter), errInSet)
	set.removeConnection(latter)
	require.True(t, set.Has(testID(1)))
	require.Equal(t, []*connection{former}, set.connections())
	set.removeConnection(former)
	require.False(t, set.Has(testID(1)))
	require.NoError(t, set.addConnection(latter))
	set.removeConnection(former)
	require.True(t, set.Has(testID(1)))
	require.True(t, set.Remove(testID(1)))
	require.Empty(t, set.connections())
}
