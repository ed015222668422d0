package dropin

import (
	"net"
	"testing"
	"time"

	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestNodeKey(t *testing.T) {
	ours := *types.GenerateNodeKey()
	gno, err := NodeKey(ours)
	require.NoError(t, err)
	require.Equal(t, string(ours.ID()), string(gno.ID()), "both sides derive the same ID")
	require.Equal(t, ours, FromNodeKey(gno))

	back := FromNodeKey(gno)
	back.PrivKey[0]++
	require.Equal(t, ours.PrivKey[0], gno.PrivKey[0], "the key is a copy")
}

func TestNodeKeyOfWrongLength(t *testing.T) {
	for _, key := range []types.NodeKey{{}, {PrivKey: make([]byte, 32)}, {PrivKey: make([]byte, 65)}} {
		_, err := NodeKey(key)
		require.ErrorIs(t, err, types.ErrInvalidNodeKey)
	}
}

func TestIDs(t *testing.T) {
	require.Equal(t, []gnotypes.ID{"g1a", "g1b"}, IDs([]types.ID{"g1a", "g1b"}))
}

func TestNetAddress(t *testing.T) {
	addrs := []*types.NetAddress{
		nil,
		{ID: "g1a", IP: net.IPv4(192, 0, 2, 1), Port: 26656},
		{ID: "g1b", IP: net.ParseIP("2001:db8::1"), Port: 65535, Hostname: "example.org"},
		{ID: "g1c", Hostname: "example.org", Port: 1},
	}
	gno := NetAddresses(addrs)
	require.Nil(t, gno[0])
	require.Equal(t, "g1b@[2001:db8::1]:65535", gno[2].String())
	require.Equal(t, "example.org", gno[3].Hostname)
	require.Equal(t, addrs, FromNetAddresses(gno))
}

func TestNodeInfo(t *testing.T) {
	info := types.NodeInfo{
		VersionSet: types.VersionSet{
			{Name: "abci", Version: "v1.0.0"},
			{Name: "p2p", Version: "v1.2.3", Optional: true},
		},
		NetAddress: &types.NetAddress{ID: "g1a", IP: net.IPv4(192, 0, 2, 1), Port: 26656},
		Network:    "network",
		Software:   "software",
		Version:    "v1.7.1",
		Channels:   []byte{0x20, 0x21},
		Moniker:    "moniker",
		Other:      types.NodeInfoOther{TxIndex: "on", RPCAddress: "tcp://0.0.0.0:26657"},
	}
	require.Equal(t, info, FromNodeInfo(NodeInfo(info)))
	require.Equal(t, types.NodeInfo{}, FromNodeInfo(NodeInfo(types.NodeInfo{})), "nil stays nil")
	require.Equal(t, "moniker", NodeInfo(info).Moniker)
	require.Equal(t, "v1.2.3", NodeInfo(info).VersionSet[1].Version)
}

func TestChannelDescriptors(t *testing.T) {
	descs := []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 10, RecvBufferCapacity: 20, RecvMessageCapacity: 30},
		{ID: 0x21, Priority: 1},
	}
	gno := ChannelDescriptors(descs)
	require.Equal(t, 30, gno[0].RecvMessageCapacity)
	require.Equal(t, descs, FromChannelDescriptors(gno))
}

func TestConnectionStatus(t *testing.T) {
	status := compat.ConnectionStatus{
		Duration:    time.Minute,
		SendMonitor: compat.FlowStatus{Start: time.Unix(1, 0), Bytes: 2, CurRate: 3, AvgRate: 4},
		RecvMonitor: compat.FlowStatus{Start: time.Unix(5, 0), Bytes: 6, CurRate: 7, AvgRate: 8},
		Channels: []compat.ChannelStatus{
			{ID: 0x20, SendQueueCapacity: 9, SendQueueSize: 10, Priority: 11, RecentlySent: 12},
		},
	}
	gno := ConnectionStatus(status)
	require.Equal(t, time.Minute, gno.SendMonitor.Duration)
	require.Equal(t, status, FromConnectionStatus(gno))
}

// TestReactorRoundTrip checks that a reactor of ours that was converted to gno's type gets
// all calls.
func TestReactorRoundTrip(t *testing.T) {
	ours := newRecorder()
	require.Same(t, ours, FromReactor(Reactor(ours)))
	gno := newGnoRecorder("r", testChannel)
	require.Same(t, gno, Reactor(FromReactor(gno)))
	require.True(t, Reactor(nil) == nil)
	require.True(t, FromReactor(nil) == nil)
}
