package lp2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// What a node tells of itself is checked like in a handshake.
func TestFetchNodeInfoRefusesBadAnswers(t *testing.T) {
	for want, answer := range map[string][]byte{
		"receive":   {0xff, 0xff, 0xff, 0x7f},
		"decode":    wire.AppendSized(nil, []byte{0xff}),
		"not valid": encoded(t, func(info *types.NodeInfo) { info.Moniker = "" }),
		"names":     encoded(t, nil),
	} {
		t.Run(want, func(t *testing.T) {
			n := newNode(t, nil)
			n.Host().SetStreamHandler(NodeInfoProtocol, func(s network.Stream) {
				if _, err := s.Write(answer); err != nil {
					t.Errorf("answer: %v", err)
				}
				_ = s.Close() // who asked may have refused the answer and gone by now
			})
			_, err := FetchNodeInfo(timeout(t), n.NetAddress())
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, string(n.key.ID()))
		})
	}
}

func encoded(t *testing.T, change func(*types.NodeInfo)) []byte {
	t.Helper()
	info := nodeInfo(types.GenerateNodeKey().ID())
	if change != nil {
		change(&info)
	}
	body, err := info.MarshalBinary()
	require.NoError(t, err)

	return wire.AppendSized(nil, body)
}
