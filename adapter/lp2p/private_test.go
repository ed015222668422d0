package lp2p

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Options that would tell the addresses of a private node are refused, in either order;
// others are allowed.
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

// The NodeInfo of a private node shows no address, neither to a peer nor to a node that
// fetches it.
func TestPrivateNodeTellsNoAddress(t *testing.T) {
	private, b := newNode(t, nil, WithPrivateNode()), newNode(t, nil)
	info, err := FetchNodeInfo(timeout(t), private.NetAddress())
	require.NoError(t, err)
	_, inbound := connect(t, private, b)
	dialed, _ := connect(t, b, private)
	for _, addr := range []*types.NetAddress{
		info.NetAddress, inbound.NodeInfo().NetAddress, dialed.NodeInfo().NetAddress, private.NodeInfo().NetAddress,
	} {
		require.Equal(t, private.key.ID(), addr.ID)
		require.True(t, addr.IP.IsUnspecified())
		require.Zero(t, addr.Port)
	}
}
