package adapter

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// nodesAt starts n nodes, the first at the IP and each further one in the next network of the
// mask.
func nodesAt(t *testing.T, network *memory.Network, ip net.IP, step, n int) (nodes []*node, addrs []*types.NetAddress, stop func()) {
	t.Helper()
	for i := range n {
		at := slices.Clone(ip.To4())
		at[step] += byte(i)
		nodes = append(nodes, newNodeAt(t, network, at, 1000))
		addrs = append(addrs, nodes[i].addr())
	}

	return nodes, addrs, start(t, nodes...)
}

func connected(hub *node, nodes []*node) (n int) {
	for _, other := range nodes {
		if hub.Peers().Has(other.id()) {
			n++
		}
	}

	return n
}

// One source, or one network, cannot fill the outbound slots while others have hints. Without
// others it does, a moment later.
func TestOutboundSlotsAreSpread(t *testing.T) {
	const other = 1 // of the last byte that differs: hosts 3, networks 1
	for name, c := range map[string]struct {
		ip     net.IP
		step   int
		source [2]types.ID
	}{
		"one network":     {net.IPv4(9, 1, 1, 1), 3, [2]types.ID{}},
		"one source":      {net.IPv4(9, 1, 1, 1), other, [2]types.ID{testID(1), testID(2)}},
		"both are one":    {net.IPv4(9, 1, 1, 1), 3, [2]types.ID{testID(1), testID(2)}},
		"the book's hint": {net.IPv4(9, 1, 1, 1), 3, [2]types.ID{testID(1), ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				crowd, crowdAddrs, stop := nodesAt(t, network, c.ip, c.step, 30)
				defer stop()
				rest, restAddrs, stop := nodesAt(t, network, net.IPv4(80, 1, 1, 1), other, 6)
				defer stop()
				hub := newNode(t, network)
				defer start(t, hub)()
				hub.DialHints(c.source[0], crowdAddrs...)
				synctest.Wait()
				require.Equal(t, DefaultMaxOutboundPeers/quotaShare, connected(hub, crowd))
				for i, addr := range restAddrs {
					source := c.source[1]
					if source != "" {
						source = testID(10 + i)
					}
					hub.DialHints(source, addr)
					synctest.Wait()
				}
				require.Equal(t, len(rest), connected(hub, rest))
				pass(crowdWait)
				require.EqualValues(t, DefaultMaxOutboundPeers, hub.Peers().NumOutbound(), "all slots are used")
			})
		})
	}
}

// Where all known peers are in one network they are dialed all the same, and within a local
// network without a wait.
func TestOneNetworkIsDialedAllTheSame(t *testing.T) {
	for ip, wait := range map[string]time.Duration{"9.1.1.1": crowdWait, "10.1.1.1": 0} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			_, addrs, stop := nodesAt(t, network, net.ParseIP(ip), 3, 30)
			defer stop()
			hub := newNode(t, network)
			defer start(t, hub)()
			hub.DialHints(testID(1), addrs...)
			pass(wait)
			require.EqualValues(t, DefaultMaxOutboundPeers, hub.Peers().NumOutbound())
		})
	}
}

// Now and then a hint of another network is tried although all outbound slots are taken: soon
// if one network has several, else seldom. The youngest peer of the most crowded network gives
// way; anchors and local networks stay.
func TestAnotherNetworkIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		ip       net.IP
		step     int
		interval time.Duration
	}{
		"crowded": {net.IPv4(9, 1, 1, 1), 3, tryCrowded},
		"diverse": {net.IPv4(9, 1, 1, 1), 1, tryDiverse},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				peers, addrs, stop := nodesAt(t, network, c.ip, c.step, 4)
				defer stop()
				hub := newNode(t, network, WithMaxOutboundPeers(4))
				defer start(t, hub)()
				for _, addr := range addrs {
					hub.DialPeers(addr)
					pass(2 * usefulUptime)
				}
				require.Equal(t, 4, connected(hub, peers))
				require.Equal(t, []types.NetAddress{*addrs[0], *addrs[1]}, hub.Anchors())
				others, otherAddrs, stop := nodesAt(t, network, net.IPv4(80, 1, 1, 1), 1, 2)
				defer stop()
				hub.DialPeers(otherAddrs...)
				pass(c.interval/2 - 1)
				hub.DialPeers(otherAddrs...)
				synctest.Wait()
				require.Zero(t, connected(hub, others))
				pass(c.interval)
				hub.DialPeers(otherAddrs...)
				synctest.Wait()
				require.Equal(t, 1, connected(hub, others))
				require.Equal(t, 3, connected(hub, peers))
				require.False(t, hub.Peers().Has(peers[3].id()), "the youngest gives way")
				requireSlots(t, hub, 4, 4, 4)

				local := newNodeAt(t, network, net.IPv4(10, 1, 1, 1), 1000)
				defer start(t, local)()
				pass(2 * tryDiverse)
				hub.DialPeers(local.addr())
				synctest.Wait()
				require.False(t, hub.Peers().Has(local.id()))
			})
		})
	}
}

// A public IP has one slot for the peers that this node dials, too.
func TestOneOutboundPeerOfAPublicIP(t *testing.T) {
	for ip, want := range map[string]int{"9.1.1.1": 1, "10.1.1.1": 3} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			hub := newNode(t, network)
			defer start(t, hub)()
			var nodes []*node
			for port := range uint16(3) {
				n := newNodeAt(t, network, net.ParseIP(ip), 1000+port)
				defer start(t, n)()
				nodes = append(nodes, n)
				hub.DialPeers(n.addr())
			}
			synctest.Wait()
			pass(crowdWait)
			require.Equal(t, want, connected(hub, nodes))
			evs, cancel := hub.Subscribe(nil)
			defer cancel()
			hub.DialPeers(nodes[0].addr(), nodes[1].addr(), nodes[2].addr())
			synctest.Wait()
			require.Empty(t, collect(evs), "nobody is dialed in vain")
		})
	}
}
