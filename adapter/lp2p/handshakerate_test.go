package lp2p

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// begins opens streams of the protocol one after the other, each of which begins with what it says,
// until one is reset as too many. It returns how many were answered, at most enough.
func begins(t *testing.T, from, to *node, proto protocol.ID, enough int, says func() []byte) (answered int) {
	t.Helper()
	c := from.Host().Network().ConnsToPeer(to.Host().ID())[0]
	for ; answered < enough; answered++ {
		s, err := stream.Open(timeout(t), c, proto)
		require.NoError(t, err)
		_, err = s.Write(says())
		if err == nil {
			_ = s.CloseWrite() // the answer tells
			_, err = io.ReadAll(s)
		}
		_ = s.Reset()
		if stream.IsResetWith(err, network.StreamRateLimited) {
			return answered
		}
	}

	return answered
}

// A peer that asks without end is slowed down, and one that presents ever new nodes, which are all
// refused. Others are not, nor is a configured peer.
func TestHandshakesOfOnePeerHaveARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		hub, friend := memnet.newNode(t, net.IPv4(7, 1, 1, 1)), memnet.newNode(t, net.IPv4(9, 3, 1, 1))
		_, next := serve(t, hub, adapter.WithUnconditionalPeers([]types.ID{friend.key.ID()}))
		presents := func(from *node) func() []byte {
			return func() []byte {
				as, _ := newIdentity()
				as.NodeInfo.Network = "another"
				body, err := as.NodeInfo.MarshalBinary()
				require.NoError(t, err)
				h := &control.Hello{Version: control.Version, Epoch: control.NewEpoch(), NodeInfo: body}
				h.Delegation = control.SignDelegation(as.Key, as.Host, h.Epoch, from.Host().ID(), hub.Host().ID(), time.Now().Add(control.DelegationLife))

				return control.Append(nil, h)
			}
		}
		nothing := func() []byte { return nil }
		meets := func(n *node) {
			p, err := n.dial(t, hub)
			require.NoError(t, err)
			require.NoError(t, p.Start())
			next()
		}
		const most = 2 * handshakesPerSecond
		for i, c := range []struct {
			proto protocol.ID
			says  func(*node) func() []byte
		}{
			{NodeInfoProtocol, func(*node) func() []byte { return nothing }},
			{SessionProtocol, presents},
		} {
			n := memnet.newNode(t, net.IPv4(9, byte(i), 1, 1))
			meets(n) // so that the connection stays
			require.Equal(t, most-1, begins(t, n, hub, c.proto, 2*most, c.says(n)), c.proto)
			require.Zero(t, begins(t, n, hub, c.proto, 1, c.says(n)))
			time.Sleep(time.Second)
			require.Equal(t, handshakesPerSecond, begins(t, n, hub, c.proto, 2*most, c.says(n)))
			meets(memnet.newNode(t, net.IPv4(9, byte(i), 2, 1)))
		}
		meets(friend)
		require.Equal(t, 2*most, begins(t, friend, hub, NodeInfoProtocol, 2*most, nothing))
	})
}

// A bridge all of whose nodes come back at once, and once more, is not slowed down.
func TestReconnectingBridgeIsNotSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		hub, bridge := memnet.newNode(t, net.IPv4(7, 1, 1, 1)), memnet.newNode(t, net.IPv4(9, 1, 1, 1))
		hub.acceptLoop(t)
		for range 2 {
			var sessions []compat.PeerConn
			for range DefaultLimits().SessionsPerPeer {
				as, _ := newIdentity()
				p, err := bridge.DialAs(timeout(t), hub.NetAddress(), as, bridge.behavior)
				require.NoError(t, err)
				require.NoError(t, p.Start())
				sessions = append(sessions, p)
			}
			for _, p := range sessions {
				require.NoError(t, p.Stop())
				hub.failure(t)
			}
		}
	})
}

// Peers that are quiet are forgotten, and those that are not are remembered.
func TestQuietPeersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHandshakeRate(1)
		for i := range 100 {
			for j := range handshakesPerSecond {
				require.True(t, r.allow(peer.ID(rune(1+i*handshakesPerSecond+j))))
			}
			for r.allow("busy") {
			}
			time.Sleep(time.Second)
			require.True(t, r.allow("busy"))
			require.LessOrEqual(t, len(r.peers), 8*handshakesPerSecond)
		}
	})
}
