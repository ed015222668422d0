package switchtest

import (
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

// The channels of the nodes. The reactor serves one that the NodeInfo does not name, and
// the NodeInfo names one that no reactor serves, as that of a node with pex = true does
// whose discovery runs elsewhere.
const (
	commonChannel   byte = 0x20
	unnamedChannel  byte = 0x21
	unservedChannel byte = 0x50
)

// patience bounds each wait; none waits for it to pass.
const patience = 30 * time.Second

// Listen returns a transport that listens on loopback and that the test's cleanup closes.
type Listen func(*testing.T, compattest.Spec) Transport

// TestChannels checks that a switch announces the channels of its reactors, whatever the
// NodeInfo of its transport names, and that messages on all of them are delivered.
func TestChannels(t *testing.T, listen Listen) {
	t.Helper()
	dialer, listener := newNode(t, listen), newNode(t, listen)
	dialer.DialPeers(&listener.addr)
	next(t, dialer.events)
	peer := dialer.Peers().Get(listener.addr.ID)
	require.Equal(t, []byte{commonChannel, unnamedChannel}, peer.NodeInfo().Channels)
	require.True(t, peer.Send(unnamedChannel, []byte("hello")))
	require.Equal(t, "hello", next(t, listener.received))
}

// TestSeedMode checks that a node in seed mode hangs up its peers, for a reason that they
// take as transient if they learn it.
func TestSeedMode(t *testing.T, listen Listen) {
	t.Helper()
	seed := newNode(t, listen, adapter.WithSeedMode(100*time.Millisecond))
	node := newNode(t, listen)
	node.DialPeers(&seed.addr)
	require.IsType(t, events.PeerConnectedEvent{}, next(t, node.events))
	ended := next(t, node.events).(events.PeerDisconnectedEvent)
	require.Contains(t, []compat.DialFailure{compat.DialUnclear, compat.DialBusy}, compat.ClassifyDial(ended.Reason), ended.Reason)
	require.IsType(t, events.PeerConnectedEvent{}, next(t, seed.events))
	ended = next(t, seed.events).(events.PeerDisconnectedEvent)
	require.Equal(t, compat.DialBusy, compat.ClassifyDial(ended.Reason), ended.Reason)
}

func next[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
	}

	return v
}

// node is a switch with one reactor.
type node struct {
	*adapter.MultiplexSwitch
	addr     types.NetAddress
	events   <-chan events.Event
	received chan string
}

func newNode(t *testing.T, listen Listen, opts ...adapter.SwitchOption) *node {
	t.Helper()

	return newNodeOf(t, listen, types.GenerateNodeKey(), opts...)
}

func newNodeOf(t *testing.T, listen Listen, key *types.NodeKey, opts ...adapter.SwitchOption) *node {
	t.Helper()
	transport := listen(t, compattest.Spec{Key: *key, Info: types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "switchtest", Version: "v1.0.0", Moniker: "node",
		Channels: []byte{commonChannel, unservedChannel},
	}})
	r := &reactor{received: make(chan string, 1)}
	r.BaseReactor = *compat.NewBaseReactor("switchtest", r)
	n := &node{addr: transport.NetAddress(), received: r.received}
	n.MultiplexSwitch = adapter.NewMultiplexSwitch(transport, append(opts, adapter.WithReactor("switchtest", r))...)
	evs, cancel := n.Subscribe(nil)
	n.events = evs
	require.NoError(t, n.Start())
	t.Cleanup(func() {
		require.NoError(t, n.Stop())
		cancel()
	})

	return n
}

type reactor struct {
	compat.BaseReactor
	received chan string
}

// GetChannels implements compat.Reactor.
func (*reactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: commonChannel, Priority: 1}, {ID: unnamedChannel, Priority: 1}}
}

// Receive implements compat.Reactor.
func (r *reactor) Receive(_ byte, _ compat.PeerConn, msg []byte) { r.received <- string(msg) }
