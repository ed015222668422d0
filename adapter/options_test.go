package adapter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestInvalidReactorsFailStart(t *testing.T) {
	broken := newTestReactor(0x40)
	broken.channels[0].Priority = 0
	twice := newTestReactor(0x40, 0x40)
	withNil := newTestReactor(0x40)
	withNil.channels = append(withNil.channels, nil)
	var many []byte
	for i := range compat.MaxChannels - 1 { // two are taken
		many = append(many, byte(0x50+i))
	}
	for name, c := range map[string]struct {
		opt  SwitchOption
		want string
	}{
		"nil":         {WithReactor("x", nil), "nil"},
		"name taken":  {WithReactor("test", newTestReactor(0x40)), "name is taken"},
		"clash":       {WithReactor("x", newTestReactor(chA)), "0x20 is taken"},
		"own clash":   {WithReactor("x", twice), "0x40 is taken"},
		"invalid":     {WithReactor("x", broken), "Priority"},
		"nil channel": {WithReactor("x", withNil), "descriptor is nil"},
		"too many":    {WithReactor("x", newTestReactor(many...)), "17 channels"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, memory.NewNetwork(), c.opt)
			err := n.Start()
			require.ErrorIs(t, err, ErrInvalidReactor)
			require.ErrorContains(t, err, c.want)
			require.False(t, n.IsRunning())
			require.False(t, n.reactor.IsRunning())
			require.NoError(t, n.tr.Close())
		})
	}
}

func TestOptions(t *testing.T) {
	network := memory.NewNetwork()
	friend, secret := network.NewNodeInfo().NetAddress, network.NewNodeInfo().NetAddress
	n := newNode(t, network,
		WithPersistentPeers([]*types.NetAddress{friend}),
		WithPrivatePeers([]types.ID{secret.ID}))
	defer n.tr.Close()
	require.Same(t, n.MultiplexSwitch, n.reactor.Switch)
	require.True(t, n.behavior.IsPersistentPeer(friend.ID))
	require.False(t, n.behavior.IsPersistentPeer(secret.ID))
	require.True(t, n.behavior.IsPrivatePeer(secret.ID))
	require.False(t, n.behavior.IsPrivatePeer(friend.ID))
	require.EqualValues(t, 40, n.registry.limits[slotInbound])
	require.EqualValues(t, 10, n.registry.limits[slotOutbound])

	descs := n.behavior.ReactorChDescriptors()
	require.Len(t, descs, 2)
	require.Equal(t, compat.DefaultRecvMessageCapacity, descs[0].RecvMessageCapacity)
	descs[0] = nil
	reactors := n.behavior.Reactors()
	require.Len(t, reactors, 2)
	delete(reactors, chA)
	require.NotNil(t, n.behavior.ReactorChDescriptors()[0])
	require.Len(t, n.behavior.Reactors(), 2, "the map is the caller's")
}

func TestWithDialTimeout(t *testing.T) {
	network := memory.NewNetwork()
	n := newNode(t, network)
	require.Equal(t, DefaultDialTimeout, n.dialTimeout)
	require.Equal(t, DefaultDialTimeout/youngShare, n.dials.youngFor)
	require.NoError(t, n.tr.Close())
	for _, wrong := range []time.Duration{0, -time.Second} {
		n := newNode(t, network, WithDialTimeout(wrong))
		require.ErrorContains(t, n.Start(), "dial timeout "+wrong.String())
		require.NoError(t, n.tr.Close())
	}
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		addr := deadAddresses(network, counter, 1)[0]
		n := newNodeOn(t, network.NewTransport(chA), counter.wrap, WithDialTimeout(42*time.Second))
		evs, cancel := n.Subscribe(nil)
		defer cancel()
		defer start(t, n)()
		n.DialPeers(addr)
		pass(42*time.Second - 1)
		require.Empty(t, collect(evs))
		pass(1)
		require.Equal(t, []events.EventType{events.DialFailed}, eventTypes(collect(evs)))
	})
}

func TestAddressOptionsSkipWhatCannotBeDialed(t *testing.T) {
	network := memory.NewNetwork()
	addr, noID := network.NewNodeInfo().NetAddress, network.NewNodeInfo().NetAddress
	noID.ID = ""
	addrs := []*types.NetAddress{nil, noID, addr}
	n := newNode(t, network, WithPersistentPeers(addrs), WithSeeds(addrs))
	defer n.tr.Close()
	want := map[types.ID]types.NetAddress{addr.ID: *addr}
	require.Equal(t, want, n.lists.persistent)
	require.Equal(t, want, n.lists.seeds)
}
