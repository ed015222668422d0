package lp2p

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
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

// A transport that closes still answers its protocols, and says that it shuts down: a node
// that does not speak them would be taken for one of another network.
func TestClosingIsToldOnEveryProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		server, client := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		require.True(t, client.open(t, server))
		c := client.Host().Network().ConnsToPeer(server.Host().ID())[0]
		server.sessions.alive.Add(1) // as a call of Receive that goes on
		closed := make(chan error, 1)
		go func() { closed <- server.Close() }()
		synctest.Wait() // Close has told all sessions, and waits
		for _, id := range []protocol.ID{SessionProtocol, ChannelProtocol, NodeInfoProtocol} {
			s, err := stream.Open(timeout(t), c, id)
			require.NoError(t, err)
			_, err = s.Read(make([]byte, 1))
			require.True(t, stream.IsResetWith(err, network.StreamShutdown), "%s: %v", id, err)
			require.NotErrorIs(t, err, stream.ErrUnsupported)
		}
		server.sessions.alive.Done()
		require.NoError(t, <-closed)
	})
}
