package lp2p

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// What would tell others the addresses of a private node is refused, in either order;
// what does not is no matter.
func TestPrivateNodeAsksNobody(t *testing.T) {
	key := types.GenerateNodeKey()
	for _, opts := range [][]Option{
		{WithPrivateNode(), WithAutoNAT()},
		{WithAutoNAT(), WithPrivateNode()},
		{WithQUIC(), WithHolePunching(), WithPrivateNode()},
	} {
		_, err := NewTransport(nodeInfo(key.ID()), *key, nil, opts...)
		require.ErrorContains(t, err, "WithPrivateNode")
	}
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithPrivateNode(), WithRelayClient())
	require.NoError(t, err)
	require.NoError(t, tr.Close())
}

// Neither a peer nor somebody who only asks learns from the NodeInfo where a private
// node listens.
func TestPrivateNodeTellsNoAddress(t *testing.T) {
	private, b := newNode(t, nil, WithPrivateNode()), newNode(t, nil)
	info, err := FetchNodeInfo(timeout(t), private.NetAddress())
	require.NoError(t, err)
	_, inbound := connect(t, private, b)
	dialed, _ := connect(t, b, private)
	for _, addr := range []*types.NetAddress{
		info.NetAddress, inbound.NodeInfo().NetAddress, dialed.NodeInfo().NetAddress, private.localNodeInfo().NetAddress,
	} {
		require.Equal(t, private.key.ID(), addr.ID)
		require.True(t, addr.IP.IsUnspecified())
		require.Zero(t, addr.Port)
	}
}
