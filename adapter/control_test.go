package adapter

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestAddPersistentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		defer start(t, a, b)()
		require.NoError(t, a.AddPersistentPeer(*b.addr()))
		synctest.Wait()
		require.True(t, a.Peers().Has(b.id()), "it is dialed at once")
		require.True(t, a.Peers().Get(b.id()).IsPersistent())

		a.StopPeerForError(a.Peers().Get(b.id()), errTest)
		pass(2 * time.Second)
		require.True(t, a.Peers().Has(b.id()), "it is redialed")

		require.True(t, a.RemovePersistentPeer(b.id()))
		require.False(t, a.RemovePersistentPeer(b.id()))
		require.True(t, a.Peers().Has(b.id()), "the connection stays")
		a.StopPeerForError(a.Peers().Get(b.id()), errTest)
		pass(time.Hour)
		require.False(t, a.Peers().Has(b.id()))
	})
}

func TestAddPersistentPeerRefusesWhatCannotBeDialed(t *testing.T) {
	a := newNode(t, memory.NewNetwork())
	id := types.GenerateNodeKey().ID()
	for _, addr := range []types.NetAddress{
		{},
		{ID: "nobody", IP: net.IPv4(8, 8, 8, 8), Port: 1},
		{ID: id, IP: net.IPv4zero, Port: 1},
		{ID: id, IP: net.IPv4(8, 8, 8, 8)},
		*a.addr(),
	} {
		require.ErrorContains(t, a.AddPersistentPeer(addr), string(addr.ID))
		require.False(t, a.RemovePersistentPeer(addr.ID))
	}
	require.NoError(t, a.AddPersistentPeer(types.NetAddress{ID: id, Hostname: "node.example", Port: 1}))
}

// A persistent peer that waits for its next dial, or is being dialed without success, is dialed
// at its new address without a wait.
func TestNewAddressOfAPersistentPeer(t *testing.T) {
	for name, dead := range map[string]bool{"waiting": false, "being dialed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				b := newNode(t, network)
				old := types.NetAddress{ID: b.id(), IP: net.IPv4(10, 9, 9, 9), Port: 9}
				hook := func(tr *memory.Transport) compat.Transport {
					return &dialHook{Transport: tr, dial: func(ctx context.Context, a types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
						if dead && a.DialString() == old.DialString() {
							<-ctx.Done()

							return nil, ctx.Err()
						}

						return tr.Dial(ctx, a, b)
					}}
				}
				a := newNodeOn(t, network.NewTransport(chA, chB), hook, WithPersistentPeers([]*types.NetAddress{&old}))
				defer start(t, a, b)()
				evs, cancel := a.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
				defer cancel()
				pass(20 * time.Second)
				collect(evs)
				require.False(t, a.Peers().Has(b.id()))

				require.NoError(t, a.AddPersistentPeer(*b.addr()))
				synctest.Wait()
				require.True(t, a.Peers().Has(b.id()))
				require.Empty(t, collect(evs), "the dial that was given up is no failure")
			})
		})
	}
}

// A peer that waits or is being dialed as a hint when it becomes persistent, or is blocked,
// is never dialed twice at a time, nor any longer at a hinted address.
func TestHintOfAReconfiguredPeer(t *testing.T) {
	for name, running := range map[string]bool{"waiting": false, "being dialed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				b, blocked := newNode(t, network), newNode(t, network)
				a := newDialingNode(t, network)
				if running {
					defer start(t, a.node, b, blocked)()
				}
				a.DialPeers(silent(b, 1), silent(b, 2), silent(blocked, 3), silent(blocked, 4))
				synctest.Wait()
				began := len(a.addresses())
				require.Equal(t, running, began == 2)
				require.NoError(t, a.BlockPeer(blocked.id()))
				require.NoError(t, a.AddPersistentPeer(*b.addr()))
				if !running {
					defer start(t, a.node, b, blocked)()
				}
				synctest.Wait()
				require.True(t, a.Peers().Has(b.id()), "it is dialed at once")
				require.Empty(t, a.dials.dialing)
				pass(time.Hour)
				require.Equal(t, []string{b.addr().DialString()}, a.addresses()[began:])
			})
		})
	}
}

// The end of a dial may queue a persistent peer as it was just before an operator has
// changed or removed it.
func TestQueuedRedialIsOutOfDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		b := newNode(t, network)
		a := newDialingNode(t, network)
		defer start(t, a.node, b)()
		a.dials.redial(*silent(b, 1), stableUptime)
		synctest.Wait()
		require.Empty(t, a.addresses(), "not persistent any more")

		a.dials.redial(*silent(b, 1), 0)
		require.NoError(t, a.AddPersistentPeer(*b.addr()))
		synctest.Wait()
		require.Equal(t, []string{b.addr().DialString()}, a.addresses(), "at once, where it is now")
	})
}

func TestRedialStartsTheScheduleOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		addr := network.NewNodeInfo().NetAddress // refuses at once
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{addr}))
		defer start(t, a)()
		pass(100 * s)
		before := len(counter.dials(addr.ID))
		require.True(t, a.Redial(addr.ID))
		synctest.Wait()
		require.Len(t, counter.dials(addr.ID), before+1)
		pass(8 * s)
		requireSchedule(t, counter.dials(addr.ID)[before:before+4], 1*s, 2*s, 4*s)
		require.False(t, a.Redial(testID(1)), "not persistent")
	})
}

func TestBlockPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		b := newNode(t, network)
		a := newNode(t, network, WithPersistentPeers([]*types.NetAddress{b.addr()}), WithUnconditionalPeers([]types.ID{b.id()}))
		defer start(t, a, b)()
		synctest.Wait()
		require.True(t, a.Peers().Has(b.id()))
		evs, cancel := a.Subscribe(nil)
		defer cancel()

		require.NoError(t, a.BlockPeer(b.id()))
		require.NoError(t, a.BlockPeer(b.id()))
		synctest.Wait()
		require.Equal(t, []types.ID{b.id()}, a.BlockedPeers())
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerDisconnected}, eventTypes(got))
		requireBanned(t, got[0].(events.PeerDisconnectedEvent).Reason)

		a.DialPeers(b.addr())
		require.False(t, a.UnblockPeer(testID(1)))
		pass(time.Hour)
		require.Empty(t, collect(evs), "it is not dialed")
		b.DialPeers(a.addr())
		synctest.Wait()
		got = collect(evs)
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(got))
		requireBanned(t, got[0].(events.PeerRejectedEvent).Reason)

		require.True(t, a.UnblockPeer(b.id()))
		synctest.Wait()
		require.True(t, a.Peers().Has(b.id()))
		require.Error(t, a.BlockPeer("nobody"))
	})
}

func requireBanned(t *testing.T, err error) {
	t.Helper()
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, compat.RejectBanned, reject.Code)
}
