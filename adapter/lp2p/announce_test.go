package lp2p

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// announces reports whether the host of the node tells an address at the IP.
func (n *node) announces(ip string) bool { return tells(n.Host().Addrs(), ip) }

// hears reports whether the node has heard from the other one of an address at the IP.
func (n *node) hears(of *node, ip string) bool {
	return tells(n.Host().Peerstore().Addrs(of.Host().ID()), ip)
}

func tells(addrs []multiaddr.Multiaddr, ip string) bool {
	for _, a := range addrs {
		if ipOf(a).String() == ip {
			return true
		}
	}

	return false
}

// The address of the NodeInfo is announced in identify, over TCP and QUIC, unless the node
// is private or the user's address factory says otherwise.
func TestOwnAddressIsAnnounced(t *testing.T) {
	own := func(info *types.NodeInfo) { info.NetAddress.IP, info.NetAddress.Port = net.IPv4(5, 6, 7, 8), 1234 }
	n, other := newNode(t, own, WithQUIC()), newNode(t, nil)
	require.NoError(t, other.Host().Connect(timeout(t), peer.AddrInfo{ID: n.Host().ID(), Addrs: n.Host().Network().ListenAddresses()}))
	require.Eventually(t, func() bool { return other.hears(n, "5.6.7.8") }, patience, time.Millisecond)
	for _, want := range []string{"/ip4/5.6.7.8/tcp/1234", "/ip4/5.6.7.8/udp/1234/quic-v1"} {
		require.True(t, multiaddr.Contains(n.Host().Addrs(), multiaddr.StringCast(want)), want)
	}
	require.True(t, n.announces("127.0.0.1"), "its listeners too")

	require.Empty(t, newNode(t, own, WithPrivateNode()).Host().Addrs())
	none := libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil })
	require.Empty(t, newNode(t, own, WithLibp2pOptions(none)).Host().Addrs())
	require.False(t, newNode(t, func(info *types.NodeInfo) { info.NetAddress.IP = net.IPv4zero }).announces("0.0.0.0"))
}

// The node's own host name need not resolve at start, and may lead elsewhere later.
// Connected peers hear of it in identify, and later sessions have it in NodeInfo.
func TestOwnHostNameIsFollowed(t *testing.T) {
	names := dnstest.Install(t)
	fast := func(o *options) { o.nameInterval = 10 * time.Millisecond }
	n := newNode(t, func(info *types.NodeInfo) {
		info.NetAddress.IP, info.NetAddress.Hostname = net.IPv4zero, "own.example"
	}, fast)
	other, later := newNode(t, nil), newNode(t, nil)
	connect(t, other, n)
	told := func() string {
		p, remote := connect(t, later, n)
		require.NoError(t, p.Stop())
		stopped(t, remote)

		return p.NodeInfo().NetAddress.IP.String()
	}
	require.Equal(t, "0.0.0.0", told())
	for _, ip := range []string{"5.6.7.8", "5.6.7.9"} {
		names.Set("own.example", net.ParseIP(ip))
		require.Eventually(t, func() bool { return n.announces(ip) && other.hears(n, ip) }, patience, time.Millisecond)
		require.Equal(t, ip, told())
	}
	require.False(t, n.announces("5.6.7.8"))
	require.Eventually(t, func() bool { return !other.hears(n, "5.6.7.8") }, patience, time.Millisecond)
}

// newWildcard returns a node that listens at all addresses of its machine, knows none of
// them, and is dialed at the address.
func (n *memNet) newWildcard(t *testing.T, address string) (*node, *stacktest.Log) {
	t.Helper()
	key, log := types.GenerateNodeKey(), &stacktest.Log{}
	info := nodeInfo(key.ID())
	info.NetAddress.IP = net.IPv4zero
	tr, err := NewTransport(info, *key, slog.New(slog.NewTextHandler(log, nil)),
		withTCP(libp2p.Transport(n.transport(net.IPv4(9, 9, 9, 9))), n.dial(net.IPv4(9, 9, 9, 9))))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4zero, Port: memPort}))
	n.forward(address, tr.listen.DialString())

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}, log
}

// A node that cannot know where it is believes peers of three networks which have dialed it
// at the same address, and tells others.
func TestPeersTellAWildcardWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, log := memnet.newWildcard(t, "8.8.8.8:26656")
		at := types.NetAddress{ID: n.key.ID(), IP: net.IPv4(8, 8, 8, 8), Port: memPort}
		told := func(from *node) string {
			got := make(chan *Peer, 1)
			go func() { got <- n.accept(t) }()
			p, err := from.Dial(timeout(t), at, from.behavior)
			require.NoError(t, err)
			require.NoError(t, p.Start())
			require.NoError(t, (<-got).Start())
			synctest.Wait()

			return p.NodeInfo().NetAddress.DialString()
		}
		var dialers []*node
		for i := range 5 {
			dialers = append(dialers, memnet.newNode(t, net.IPv4(5, byte(max(0, i-1)), byte(i), 1)))
		}
		for _, from := range dialers[:3] { // the first two are of one network
			require.Equal(t, "0.0.0.0:26656", told(from))
			require.False(t, n.announces("8.8.8.8"))
		}
		told(dialers[3]) // what it says may count before its session begins
		require.True(t, n.announces("8.8.8.8"))
		require.Equal(t, "8.8.8.8:26656", told(dialers[4]))
		require.Equal(t, 1, log.Count("have dialed this node at an address"))
	})
}

// Where a node is seen to come from is told to its operator only: nobody has shown that it
// can be dialed there.
func TestSeenAddressIsNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, log := memnet.newWildcard(t, "9.9.9.9:26656")
		for i := range 4 {
			to := memnet.newNode(t, net.IPv4(5, byte(i), 0, 1))
			go func() { _ = to.accept(t).Start() }()
			p, err := n.dial(t, to)
			require.NoError(t, err)
			require.NoError(t, p.Start())
			synctest.Wait()
			require.Equal(t, i >= 2, log.Count("configure it as external_address") == 1, i)
		}
		require.False(t, n.announces("9.9.9.9"))
		require.True(t, n.NodeInfo().NetAddress.IP.IsUnspecified())
	})
}

// meet gives the nodes a session, and returns once both have heard what the other says.
func meet(t *testing.T, from *node, at types.NetAddress, there *node) {
	t.Helper()
	got := make(chan *Peer, 1)
	go func() { got <- there.accept(t) }()
	p, err := from.Dial(timeout(t), at, from.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	require.NoError(t, (<-got).Start())
	synctest.Wait()
}

// Strangers that dial a node do not move it away from the IP from which the peers that it has dialed
// see it come. At that IP they are believed. If they come first, they are believed until then.
func TestStrangersDoNotMoveANode(t *testing.T) {
	for _, c := range []struct {
		at             string
		moves, inFirst bool
	}{{"8.8.8.8:1", false, false}, {"9.9.9.9:1", true, false}, {"8.8.8.8:1", false, true}, {"9.9.9.9:1", true, true}} {
		at, moves := c.at, c.moves
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet := newMemNet()
				n, log := memnet.newWildcard(t, at)
				var placed []string
				n.OnPlaced(func(at netip.AddrPort) { placed = append(placed, at.String()) })
				dials := func() {
					for i := range minVoters {
						to := memnet.newNode(t, net.IPv4(5, byte(i), 0, 1))
						meet(t, n, to.NetAddress(), to)
					}
				}
				if !c.inFirst {
					dials()
				}
				where := types.NetAddress{ID: n.key.ID(), IP: net.ParseIP(at[:7]), Port: 1}
				for i := range minVoters + 1 {
					meet(t, memnet.newNode(t, net.IPv4(6, byte(i), 0, 1)), where, n)
				}
				var want []string
				if moves || c.inFirst {
					require.True(t, n.announces(at[:7]))
					want = []string{at}
				}
				if c.inFirst {
					dials()
					if !moves {
						want = append(want, fmt.Sprintf("0.0.0.0:%d", memPort))
					}
				}
				require.Equal(t, moves, n.announces(at[:7]))
				require.Equal(t, want, placed)
				require.Equal(t, moves, n.NodeInfo().NetAddress.DialString() == at)
				require.Equal(t, !moves, n.NodeInfo().NetAddress.IP.IsUnspecified())
				require.Equal(t, !moves, log.Count("since others see it come from another IP") == 1)
			})
		})
	}
}

// A node that has IPv4 and IPv6 comes from another IP in each.
func TestOneFamilyDoesNotContradictTheOther(t *testing.T) {
	ip, at := netip.MustParseAddr, netip.MustParseAddrPort
	require.True(t, contradicts(ip("9.9.9.9"), at("8.8.8.8:1")))
	require.False(t, contradicts(ip("::ffff:8.8.8.8"), at("8.8.8.8:1")))
	require.False(t, contradicts(ip("2600::1"), at("8.8.8.8:1")))
	require.False(t, contradicts(ip("2600::1"), at("[2600::2]:1")), "of one /64")
	require.True(t, contradicts(ip("2600::1"), at("[2601::1]:1")))
	require.False(t, contradicts(ip("9.9.9.9"), netip.AddrPort{}), "unknown")
}

// Whoever has no session has no say.
func TestConnectionsPlaceNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, _ := memnet.newWildcard(t, "8.8.8.8:26656")
		at := types.NetAddress{ID: n.key.ID(), IP: net.IPv4(8, 8, 8, 8), Port: memPort}
		where := peer.AddrInfo{ID: n.Host().ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/8.8.8.8/tcp/26656")}}
		var dialers []*node
		for i := range minVoters {
			dialers = append(dialers, memnet.newNode(t, net.IPv4(5, byte(i), 0, 1)))
			require.NoError(t, dialers[i].Host().Connect(timeout(t), where))
			synctest.Wait()
		}
		require.False(t, n.announces("8.8.8.8"))
		for _, from := range dialers {
			meet(t, from, at, n)
		}
		require.True(t, n.announces("8.8.8.8"), "what they have said counts now")
	})
}

// Newcomers do not outvote as many peers that have been connected for long and have nothing new to say.
func TestConnectedPeersKeepTheirSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		n, log := memnet.newWildcard(t, "8.8.8.8:26656")
		memnet.forward("7.7.7.7:26656", n.listen.DialString())
		for i, ip := range []string{"8.8.8.8", "7.7.7.7"} {
			at := types.NetAddress{ID: n.key.ID(), IP: net.ParseIP(ip), Port: memPort}
			for j := range minVoters {
				meet(t, memnet.newNode(t, net.IPv4(5, byte(10*i+j), 0, 1)), at, n)
			}
			time.Sleep(2 * voteLife)
			synctest.Wait()
		}
		require.True(t, n.announces("8.8.8.8"))
		require.False(t, n.announces("7.7.7.7"))
		require.Equal(t, 1, log.Count("have dialed this node at an address"))
	})
}
