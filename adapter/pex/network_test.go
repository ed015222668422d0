package pex_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// All know one node only. In the end everybody has used up the outbound slots, or
// is connected to everybody.
func TestThirtyNodesFindEachOther(t *testing.T) {
	const count, maxOutbound = 30, 5
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		nodes := make([]*node, 0, count)
		for range count {
			n := newNode(t, network, nodeOptions{sw: []adapter.SwitchOption{adapter.WithMaxOutboundPeers(maxOutbound)}})
			defer n.stop(t)
			nodes = append(nodes, n)
		}
		for _, n := range nodes[1:] {
			n.DialPeers(nodes[0].addr())
		}
		pass(2 * time.Minute)
		for i, n := range nodes {
			// Of two crossed connections the one that stays may be the other's dial,
			// and then fills a slot of this direction.
			require.GreaterOrEqual(t, len(n.Peers().List()), maxOutbound, "node %d", i)
			stats := n.pex.Stats()
			require.Zero(t, stats.Invalid+stats.ResponsesUnrequested+stats.ResponsesLate+stats.RequestsLimited+stats.PeersStopped)
			require.NotZero(t, stats.ResponsesSent)
		}
	})
}

func TestDialedPeersAreAskedAtOnceAndAllByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		dialer, dialed := newNode(t, network, nodeOptions{}), newNode(t, network, nodeOptions{})
		defer dialer.stop(t)
		defer dialed.stop(t)
		connect(t, dialer, dialed)
		require.EqualValues(t, 1, dialed.pex.Stats().RequestsReceived)
		require.Zero(t, dialer.pex.Stats().RequestsReceived, "who is dialed does not ask at once")

		pass(10 * pex.DefaultDiscoveryInterval)
		require.EqualValues(t, 11, dialed.pex.Stats().RequestsReceived)
		require.EqualValues(t, 10, dialer.pex.Stats().RequestsReceived)
		// Neither knows anybody whom the other does not know.
		require.Zero(t, dialed.pex.Stats().ResponsesSent+dialer.pex.Stats().ResponsesSent)
	})
}

// A peer without the channel is not asked, and takes no turn from others.
func TestPeersWithoutTheChannelAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		both, one := network.NewNodeInfo(pex.Channel, 0x20), network.NewNodeInfo(0x20)
		asker, asked := newNode(t, network, nodeOptions{info: &both}), newNode(t, network, nodeOptions{})
		defer asker.stop(t)
		defer asked.stop(t)
		deaf := newStranger(t, network, &one)
		defer deaf.stop(t)

		connect(t, asker, deaf)
		pass(10 * pex.DefaultDiscoveryInterval)
		require.Zero(t, asker.pex.Stats().RequestsSent)
		connect(t, asker, asked)
		pass(10 * pex.DefaultDiscoveryInterval)
		require.EqualValues(t, 11, asker.pex.Stats().RequestsSent)
	})
}

// A node that comes back dials whom it knew, without being told of anybody.
func TestRestartFindsItsPeers(t *testing.T) {
	path := bookPath(t)
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		entry, other := newNode(t, network, nodeOptions{}), newNode(t, network, nodeOptions{})
		defer entry.stop(t)
		defer other.stop(t)
		connect(t, other, entry)

		n := newNode(t, network, nodeOptions{bookPath: path})
		info := n.tr.NodeInfo()
		connect(t, n, entry)
		require.True(t, n.Peers().Has(other.id()), "told by the first peer")
		n.stop(t)
		require.False(t, entry.Peers().Has(n.id()))

		n = newNode(t, network, nodeOptions{info: &info, bookPath: path})
		defer n.stop(t)
		synctest.Wait()
		require.True(t, n.Peers().Has(entry.id()))
		require.True(t, n.Peers().Has(other.id()))
	})
}

// A node that has lost everybody tries its book again, at growing distances, and one address of it
// every half a minute.
func TestLonelyNodeTriesItsBookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, friend := newNode(t, network, nodeOptions{}), newNode(t, network, nodeOptions{})
		defer n.stop(t)
		connect(t, n, friend)
		info := friend.tr.NodeInfo()
		friend.stop(t)

		failed, cancel := n.Subscribe(isDialFailed)
		defer cancel()
		pass(30 * time.Minute)
		// After 10 s and 20 s, and then twice a minute: far fewer than 600 ticks.
		require.InDelta(t, 60, len(failed), 6)

		friend = newNode(t, network, nodeOptions{info: &info})
		defer friend.stop(t)
		pass(30*time.Second + pex.DefaultDiscoveryInterval)
		require.True(t, n.Peers().Has(friend.id()))
	})
}

// Peers name dead addresses over and over; they are not dialed each time.
func TestDeadHintsAreNotDialedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{})
		defer n.stop(t)
		s := newStranger(t, network, nil)
		defer s.stop(t)
		failed, cancel := n.Subscribe(isDialFailed)
		defer cancel()
		connect(t, n, s)
		dead := addrAt("10.9.9.9", 1)
		for range 20 { // a minute
			s.send(t, n, response(dead))
			pass(pex.DefaultDiscoveryInterval)
		}
		require.EqualValues(t, 20, n.pex.Stats().ResponsesReceived)
		require.Len(t, failed, 3, "at once, after 10 s, and after 20 s more")
		require.Contains(t, texts(n.book.Addresses()), dead.String())
	})
}

func isDialFailed(e events.Event) bool { return e.Type() == events.DialFailed }

// A reactor with impossible options does not start, and neither does its switch.
func TestOptionsAreChecked(t *testing.T) {
	book, err := addrbook.Open("", types.NetAddress{})
	require.NoError(t, err)
	for want, r := range map[string]*pex.Reactor{
		"no address book":       pex.NewReactor(nil),
		"discovery interval 0s": pex.NewReactor(book, pex.WithDiscoveryInterval(0)),
		"save interval -1ns":    pex.NewReactor(book, pex.WithSaveInterval(-1)),
	} {
		require.ErrorContains(t, r.Start(), want)
		require.False(t, r.IsRunning())
		require.Zero(t, r.Stats())
	}
	_, err = addrbook.Open("", types.NetAddress{}, addrbook.WithMaxPeers(0))
	require.Error(t, err)
}

func TestDescriptorIsTM2s(t *testing.T) {
	book, err := addrbook.Open("", types.NetAddress{})
	require.NoError(t, err)
	require.Equal(t, []*compat.ChannelDescriptor{
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20, RecvMessageCapacity: 5242880},
	}, pex.NewReactor(book).GetChannels())
}

// A seed tells nodes of each other before it hangs up, and they stay together.
func TestSeedBringsNodesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		seed := newNode(t, network, nodeOptions{sw: []adapter.SwitchOption{adapter.WithSeedMode(adapter.DefaultSeedUptime)}})
		defer seed.stop(t)
		ended, cancel := seed.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
		defer cancel()
		var nodes []*node
		for range 3 {
			n := newNode(t, network, nodeOptions{})
			defer n.stop(t)
			n.DialPeers(seed.addr())
			nodes = append(nodes, n)
		}
		pass(adapter.DefaultSeedUptime + time.Second)
		hungUp := make(map[types.ID]bool)
		for len(ended) > 0 {
			hungUp[(<-ended).(events.PeerDisconnectedEvent).PeerID] = true
		}
		for _, n := range nodes {
			require.True(t, hungUp[n.id()])
			for _, other := range nodes {
				require.Equal(t, n != other, n.Peers().Has(other.id()))
			}
		}
	})
}
