package bridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// undeclared is the behavior of a node that sends on channels which its NodeInfo does not have.
type undeclared struct{ ended chan error }

func (undeclared) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return Config{}.withDefaults().describe([]byte{chVotes, chTxs})
}
func (undeclared) Reactors() map[byte]compat.Reactor              { return nil }
func (u undeclared) HandlePeerError(_ compat.PeerConn, err error) { u.ended <- err }
func (undeclared) IsPersistentPeer(types.ID) bool                 { return false }
func (undeclared) IsPrivatePeer(types.ID) bool                    { return false }

// A message that the far node would never take ends the pair at once, and the far node is not to
// blame.
func TestMessageOnAnUndeclaredChannel(t *testing.T) {
	libp2p := newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{Libp2pPeers: addresses(libp2p)}, func(*Bridge) {})
	key, at := types.GenerateNodeKey(), loopback()
	at.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &at, Network: "bridged", Version: "v1.0.0", Channels: []byte{chVotes}, Moniker: "undeclared",
	}
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), quiet())
	defer func() { require.NoError(t, tr.Close()) }()
	node := undeclared{make(chan error, 8)}
	peer := dialUntilMet(t, tr, b, node)
	defer func() { require.NoError(t, peer.CloseConn()) }()
	require.NoError(t, peer.Start())
	libp2p.met(t)

	require.True(t, peer.Send(chTxs, []byte("tx")))
	next(t, libp2p.removed)
	next(t, node.ended)
	require.Eventually(t, func() bool { return b.Status().SlotsTaken == 0 }, testTimeout, time.Millisecond)
	require.Empty(t, libp2p.messages)
	s := b.Status()
	require.Contains(t, s.Events[len(s.Events)-1].Text, errUndeclared.Error())
	require.Equal(t, InitiatorNative, s.Events[len(s.Events)-1].Reason)
	require.Zero(t, statusOf(t, b, libp2p.address.ID).Failures)
	for _, ch := range s.Counters.Channels {
		require.Zero(t, ch.Dropped)
	}
}
