package switchtest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The channels of the nodes of TestChannels. The reactor serves one that the NodeInfo does not name,
// and the NodeInfo names one that no reactor serves, as a node with pex = true does whose
// discovery runs elsewhere.
const (
	commonChannel   byte = 0x20
	unnamedChannel  byte = 0x21
	unservedChannel byte = 0x50
)

// TestChannels checks that a switch announces the channels of its reactors, whatever the
// NodeInfo of its transport names, so that messages on all of them are delivered and none
// is announced that nobody serves. Listen returns a transport that the test's cleanup
// closes.
func TestChannels(t *testing.T, listen func(*testing.T, compattest.Spec) Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	received := make(chan string, 1)
	dialer := channelNode(t, listen, make(chan string))
	listener := channelNode(t, listen, received)
	connected, unsubscribe := dialer.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
	defer unsubscribe()
	addr := listener.address
	dialer.DialPeers(&addr)
	select {
	case <-connected:
	case <-ctx.Done():
		t.Fatal("not connected")
	}
	peer := dialer.Peers().Get(addr.ID)
	require.Equal(t, []byte{commonChannel, unnamedChannel}, peer.NodeInfo().Channels)
	require.True(t, peer.Send(unnamedChannel, []byte("hello")))
	select {
	case msg := <-received:
		require.Equal(t, "hello", msg)
	case <-ctx.Done():
		t.Fatal("not delivered")
	}
}

type switchAt struct {
	*adapter.MultiplexSwitch
	address types.NetAddress
}

func channelNode(t *testing.T, listen func(*testing.T, compattest.Spec) Transport, received chan<- string) switchAt {
	t.Helper()
	key := types.GenerateNodeKey()
	transport := listen(t, compattest.Spec{Key: *key, Info: nodeInfo(key.ID(), commonChannel, unservedChannel)})
	sw := adapter.NewMultiplexSwitch(transport, adapter.WithReactor("channels", newChannelReactor(received)))
	require.NoError(t, sw.Start())
	t.Cleanup(func() { require.NoError(t, sw.Stop()) })

	return switchAt{sw, transport.NetAddress()}
}

func nodeInfo(id types.ID, channels ...byte) types.NodeInfo {
	return types.NodeInfo{
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)},
		Network:    "switchtest",
		Version:    "v1.0.0",
		Moniker:    "node",
		Channels:   channels,
	}
}

type channelReactor struct {
	*compat.BaseReactor
	received chan<- string
}

func newChannelReactor(received chan<- string) *channelReactor {
	r := &channelReactor{received: received}
	r.BaseReactor = compat.NewBaseReactor("channels", r)

	return r
}

// GetChannels implements compat.Reactor.
func (*channelReactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: commonChannel, Priority: 1}, {ID: unnamedChannel, Priority: 1}}
}

// Receive implements compat.Reactor.
func (r *channelReactor) Receive(_ byte, _ compat.PeerConn, msg []byte) { r.received <- string(msg) }
