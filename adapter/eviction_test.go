package adapter

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// fullSwitch is a switch whose inbound slots are taken from the IPs, by peers of which the
// first has been connected longest.
func fullSwitch(t *testing.T, uptime func(i int) time.Duration, ips []string, opts ...SwitchOption) *MultiplexSwitch {
	t.Helper()
	opts = append(opts, WithMaxInboundPeers(uint64(len(ips))), WithAllowDuplicateIP(true))
	sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, opts...)
	for i, ip := range ips {
		c := &connection{id: testID(i), started: true, since: time.Now().Add(-uptime(i))}
		who := sw.candidate(c.id, false, net.ParseIP(ip), "")
		former, err := sw.registry.reserve(c, &who)
		require.NoError(t, err)
		require.Nil(t, former)
	}

	return sw
}

// loser returns the index of the peer that gives way to a stranger from the IP, or -1.
func loser(sw *MultiplexSwitch, ip string) int {
	c := sw.registry.findLoser(sw.candidate(testID(98), false, net.ParseIP(ip), ""))
	for i := range 20 {
		if c != nil && c.id == testID(i) {
			return i
		}
	}

	return -1
}

func TestWhoGivesWay(t *testing.T) {
	sameNetwork := []string{"9.1.1.1", "9.1.2.1", "9.1.3.1", "9.1.4.1"}
	sameSite := []string{"9.1.1.1", "9.1.1.2", "9.1.1.3", "9.1.2.1"}
	for name, c := range map[string]struct {
		residents []string
		newcomer  string
		want      int
	}{
		"another network":                  {sameNetwork, "8.8.8.8", 3},
		"another site of the same network": {sameSite, "9.1.9.1", 2},
		"the crowded site itself":          {sameSite, "9.1.1.9", -1},
		"nobody is crowded":                {[]string{"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"}, "8.8.8.8", -1},
		"an exchange that gains nothing":   {[]string{"9.1.1.1", "9.1.2.1", "8.8.1.1", "8.8.2.1"}, "8.8.9.9", -1},
		"one site, one host each":          {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}, "10.0.0.5", -1},
		"one host has several":             {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2"}, "10.0.0.5", 3},
		"IPv6, another network":            {[]string{"2600:1::1", "2600:1:1::1", "2600:1:2::1", "2600:2::1"}, "2a00:1::1", 2},
		"IPv6, another site":               {[]string{"2600:1::1", "2600:1:0:1::1", "2600:1:0:2::1", "2600:1:1::1"}, "2600:1:2::1", 2},
		"IPv6, another host of the site":   {[]string{"2600:1::1", "2600:1::2", "2600:1::3", "2600:1:0:1::1"}, "2600:1:0:2::1", 2},
		"an unknown IP":                    {sameNetwork, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				young := func(i int) time.Duration { return time.Duration(10-i) * time.Second }
				require.Equal(t, c.want, loser(fullSwitch(t, young, c.residents), c.newcomer))
			})
		})
	}
}

// A quarter of the slots is for those who have been connected longest, of any network.
// Configured peers do not give way either.
func TestWhoNeverGivesWay(t *testing.T) {
	ips := []string{"9.1.1.1", "9.1.1.2", "9.2.1.1", "9.3.1.1", "9.4.1.1", "9.5.1.1", "9.6.1.1", "9.7.1.1"}
	for name, c := range map[string]struct {
		unit time.Duration
		opt  SwitchOption
		want int
	}{
		"long connected":              {time.Minute, WithSeeds(nil), -1},
		"connected for a short while": {time.Second, WithSeeds(nil), 1},
		"unconditional":               {time.Second, WithUnconditionalPeers([]types.ID{testID(1)}), -1},
		"persistent":                  {time.Second, WithPersistentPeers([]*types.NetAddress{{ID: testID(1)}}), -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				uptime := func(i int) time.Duration { return time.Duration(10-i) * c.unit }
				require.Equal(t, c.want, loser(fullSwitch(t, uptime, ips, c.opt), "8.8.8.8"))
			})
		})
	}
}

// The peer that gives way is told why, and is gone before the newcomer is a peer.
func TestEvictionTellsTheReason(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub := newNode(t, network, WithMaxInboundPeers(3))
		nodes := []*node{hub}
		for i := range 3 {
			nodes = append(nodes, newNodeAt(t, network, net.IPv4(9, 1, 1, byte(i+1)), 1))
		}
		newcomer := newNodeAt(t, network, net.IPv4(8, 8, 8, 8), 1)
		prepare(append(nodes, newcomer)...)
		defer start(t, append(nodes, newcomer)...)()
		for _, n := range nodes[1:] {
			connect(t, n, hub)
			pass(time.Second)
		}
		evs, cancel := nodes[3].Subscribe(nil)
		defer cancel()
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			require.EqualValues(t, 2, hub.Peers().NumInbound())

			return p
		}
		connect(t, newcomer, hub)
		require.True(t, hub.Peers().Has(nodes[1].id()) && hub.Peers().Has(nodes[2].id()), "the youngest gives way")
		got := collect(evs)
		require.Len(t, got, 1)
		reason := got[0].(events.PeerDisconnectedEvent).Reason
		require.Equal(t, compat.DialBusy, compat.ClassifyDial(reason), "%v", reason)
		require.ErrorContains(t, reason, "less crowded network")
	})
}

// While the peer that gives way is being removed, nobody else gives way, and the slot that
// it had is given back if the removal takes too long.
func TestOneEvictionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network, WithMaxInboundPeers(3))
		a, b := newNodeAt(t, network, net.IPv4(9, 1, 1, 1), 1), newNodeAt(t, network, net.IPv4(9, 1, 1, 2), 1)
		c, d := newNodeAt(t, network, net.IPv4(8, 1, 1, 1), 1), newNodeAt(t, network, net.IPv4(7, 1, 1, 1), 1)
		e := newNodeAt(t, network, net.IPv4(9, 1, 1, 3), 1)
		defer start(t, hub, a, b, c, d, e)()
		for _, n := range []*node{a, e, b} {
			connect(t, n, hub)
			pass(time.Second)
		}
		release := make(chan struct{})
		hub.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-release }
		require.True(t, b.Peers().Get(hub.id()).Send(chA, []byte("hold")))
		synctest.Wait()
		refusals, unsubscribe := hub.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerRejected })
		defer unsubscribe()
		c.DialPeers(hub.addr())
		synctest.Wait()
		d.DialPeers(hub.addr())
		pass(2 * formerTimeout)
		for _, e := range collect(refusals) {
			reject, ok := errors.AsType[*compat.RejectError](e.(events.PeerRejectedEvent).Reason)
			require.True(t, ok)
			require.Equal(t, compat.RejectFull, reject.Code, "nobody of them is connected already")
		}
		require.True(t, hub.Peers().Has(a.id()) && hub.Peers().Has(e.id()))
		require.False(t, hub.Peers().Has(c.id()) || hub.Peers().Has(d.id()))
		close(release)
		synctest.Wait()
		require.EqualValues(t, 2, hub.registry.taken[slotInbound])
		connect(t, d, hub)
	})
}

// Whoever takes places and leaves again ends two sessions at most before its network gets no
// more places of others for a while. Other networks get them all the same.
func TestNetworkThatFlapsEvictsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, honest, flapping, comeBack := crowded(t, network)
		newcomer := newNodeAt(t, network, net.IPv4(7, 7, 7, 7), 1)
		defer start(t, slices.Concat([]*node{hub, newcomer}, honest, flapping)...)()
		comeBack()
		for i, n := range flapping {
			n.DialPeers(hub.addr())
			synctest.Wait()
			require.Equal(t, i < 2, hub.Peers().Has(n.id()), i)
			n.StopPeerForError(n.Peers().Get(hub.id()), errTest)
			synctest.Wait()
			comeBack()
			pass(conduct.FirstRefusal / 10)
		}
		connect(t, newcomer, hub)
		newcomer.StopPeerForError(newcomer.Peers().Get(hub.id()), errTest)
		synctest.Wait()
		comeBack()
		pass(conduct.FirstRefusal)
		connect(t, flapping[3], hub)
	})
}

// A newcomer that another peer gives way to, and that is refused in the end, has had that peer end
// its session in vain too.
func TestRefusedNewcomerEvictsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, honest, _, comeBack := crowded(t, network)
		one, other := newNodeAt(t, network, net.IPv4(8, 8, 8, 8), 1), newNodeAt(t, network, net.IPv4(8, 8, 8, 8), 2)
		defer start(t, slices.Concat([]*node{hub, one, other}, honest)...)()
		comeBack()
		release := make(chan struct{})
		hub.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-release }
		for _, n := range honest { // whoever gives way is removed slowly
			require.True(t, n.Peers().Get(hub.id()).Send(chA, []byte("hold")))
		}
		synctest.Wait()
		one.DialPeers(hub.addr())
		synctest.Wait()
		require.True(t, hub.registry.evicts)
		hub.registry.limits[slotInbound]++ // another slot becomes free
		connect(t, other, hub)
		close(release)
		synctest.Wait()
		require.False(t, hub.Peers().Has(one.id()), "its host has a slot by now")
		site := netgroup.Around(netip.MustParseAddr("8.8.8.8"))[0]
		require.Equal(t, conduct.FirstRefusal, hub.conduct.Charge("", site, conduct.MaxPoints-conduct.FlapPoints, errFlaps))
	})
}

// A peer that this node itself sends away has not taken its place in vain.
func TestPeerThatIsSentAwayDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, honest, others, comeBack := crowded(t, memory.NewNetwork())
		require.Greater(t, len(others), 2)
		defer start(t, slices.Concat([]*node{hub}, honest, others)...)()
		for _, n := range others {
			comeBack()
			connect(t, n, hub)
			require.NoError(t, hub.BlockPeer(n.id()))
			synctest.Wait()
			require.False(t, hub.Peers().Has(n.id()))
		}
	})
}

// crowded makes a node with three inbound slots, three honest nodes of one network that take them
// when comeBack is called, and four nodes of another network, to which they give way.
func crowded(t *testing.T, network *memory.Network) (hub *node, honest, others []*node, comeBack func()) {
	t.Helper()
	hub = newNode(t, network, WithMaxInboundPeers(3))
	for i := range 3 {
		honest = append(honest, newNodeAt(t, network, net.IPv4(9, 1, 1, byte(i+1)), 1))
	}
	for i := range 4 {
		others = append(others, newNodeAt(t, network, net.IPv4(8, 8, byte(i), 8), 1))
	}

	return hub, honest, others, func() {
		for _, n := range honest {
			if !hub.Peers().Has(n.id()) {
				connect(t, n, hub)
			}
		}
	}
}

// One peer at a time waits for the removal of the peer that had its ID, so that it cannot
// hold the places of the accept loop by coming again and again.
func TestOneConnectionWaitsForTheRemovalOfTheFormer(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		hub, a := newNode(t, network), newNode(t, network)
		nodes := []*node{hub, a}
		for i := range maxAdmissions {
			nodes = append(nodes, twin(t, network, a, byte(i+1)))
		}
		honest := newNode(t, network)
		prepare(append(nodes, honest)...)
		release := make(chan struct{})
		hub.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-release }
		defer start(t, append(nodes, honest)...)()
		connect(t, a, hub)
		require.True(t, a.Peers().Get(hub.id()).Send(chA, []byte("hold")))
		synctest.Wait()
		hub.StopPeerForError(hub.Peers().Get(a.id()), errTest)
		synctest.Wait()
		for _, n := range nodes[2:] {
			n.DialPeers(hub.addr())
		}
		synctest.Wait()
		connect(t, honest, hub)
		close(release)
		synctest.Wait()
		require.True(t, hub.Peers().Has(a.id()), "the one that has waited comes in")
	})
}

// The IDs that a node presents for others cost it nothing, so none of them crosses a dial.
func TestDelegatedPeerCrossesNoDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newDialingNode(t, network, WithMaxInboundPeers(0))
		defer start(t, hub.node)()
		liar := network.NewNodeInfo().NetAddress
		liar.Port = 1 // stays silent
		hub.DialPeers(liar)
		synctest.Wait()
		ask := func(ip net.IP, delegate types.ID) error {
			return hub.behavior.AdmitPeer(compat.ConnInfo{SocketAddr: liar, RemoteIP: ip, DelegatedBy: delegate}, types.NodeInfo{})
		}
		require.NoError(t, ask(liar.IP, ""), "it crosses the dial")
		requireCode(t, compat.RejectFull, ask(liar.IP, testID(1)))
		requireCode(t, compat.RejectFull, ask(net.IPv4(10, 200, 0, 1), ""))
	})
}

// Beside another peer of its IP, a peer on a local network may come in by the outbound slot
// that its dial would take, and not by an inbound one.
func TestCrossingBesideAnotherPeerOfTheIP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newDialingNode(t, network, WithMaxOutboundPeers(2))
		first := newNodeAt(t, network, sharedIP, 1000)
		defer start(t, hub.node, first)()
		connect(t, first, hub.node)
		for i := range 5 {
			n := newNodeAt(t, network, sharedIP, uint16(i+1)) // stays silent
			defer start(t, n)()
			hub.DialPeers(n.addr())
			synctest.Wait()
			n.DialPeers(hub.addr())
			synctest.Wait()
			require.Equal(t, i < 2, hub.Peers().Has(n.id()), fmt.Sprint(i))
		}
		require.EqualValues(t, 1, hub.registry.taken[slotInbound])
	})
}
