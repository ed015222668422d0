package lp2p

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// requireBanned checks that a session ended, or a dial failed, because of a ban.
func requireBanned(t *testing.T, err error, byRemote bool) {
	t.Helper()
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, compat.RejectBanned, reject.Code)
	require.Equal(t, byRemote, reject.Remote)
}

func TestBlockEndsSessions(t *testing.T) {
	for name, block := range map[string]func(a, b *node) error{
		"ID":     func(a, b *node) error { return a.Block(b.key.ID()) },
		"IP":     func(a, b *node) error { return a.BlockIP(b.NetAddress().IP) },
		"Subnet": func(a, _ *node) error { return a.BlockSubnet(subnet("10.0.0.2/31")) },
	} {
		for _, outbound := range []bool{false, true} {
			t.Run(name+"/outbound="+strconv.FormatBool(outbound), func(t *testing.T) {
				memnet := newMemNet()
				a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1), patientGoodbye()), memnet.newNode(t, net.IPv4(10, 0, 0, 2), patientGoodbye())
				other := memnet.newNode(t, net.IPv4(10, 0, 1, 1), WithTimeouts(patientTimeouts()))
				var pa, pb *Peer
				if outbound {
					pa, pb = connect(t, a, b)
				} else {
					pb, pa = connect(t, b, a)
				}
				pOther, _ := connect(t, other, a)

				require.NoError(t, block(a, b))
				requireBanned(t, a.failure(t).err, false)
				requireBanned(t, b.failure(t).err, true)
				stopped(t, pa)
				stopped(t, pb)
				require.Eventually(t, func() bool {
					return len(a.Host().Network().ConnsToPeer(b.Host().ID())) == 0
				}, patience, time.Millisecond)
				require.True(t, pOther.IsRunning())

				_, err := a.dial(t, b)
				requireBanned(t, err, false)
				_, err = b.dial(t, a)
				require.Error(t, err)
			})
		}
	}
}

func subnet(s string) *net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}

	return n
}

// While the host closes, libp2p must have no address to dial.
func TestNothingIsDialedWhileTheHostCloses(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	id, addrs := b.Host().ID(), b.Host().Addrs()
	defer a.gater.ask(id, addrs)()
	require.True(t, a.gater.InterceptAddrDial(id, addrs[0]))
	var allowed []bool // closing notifies before Close returns
	a.Host().Network().Notify(&network.NotifyBundle{ListenCloseF: func(network.Network, multiaddr.Multiaddr) {
		allowed = append(allowed, a.gater.InterceptAddrDial(id, addrs[0]))
	}})
	require.NoError(t, a.Close())
	require.Equal(t, []bool{false}, allowed)
}

func TestUnblock(t *testing.T) {
	memnet, patient := newMemNet(), WithTimeouts(patientTimeouts())
	a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1), patient), memnet.newNode(t, net.IPv4(10, 0, 0, 2), patient)
	require.NoError(t, a.Block(b.key.ID()))
	require.NoError(t, a.BlockIP(net.IPv4(10, 0, 0, 2)))
	require.NoError(t, a.BlockSubnet(subnet("10.0.0.0/8")))
	require.NoError(t, a.BlockSubnet(subnet("10.0.0.0/8")), "twice is once")
	ids, subnets := a.Blocked()
	require.Equal(t, []types.ID{b.key.ID()}, ids)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.2/32")}, subnets)

	undo := []func(){
		func() { a.Unblock(b.key.ID()) },
		func() { a.UnblockIP(net.IPv4(10, 0, 0, 2)) },
		func() { a.UnblockSubnet(subnet("10.0.0.0/8")) },
	}
	for _, f := range undo {
		_, err := a.dial(t, b)
		requireBanned(t, err, false)
		f()
	}
	connect(t, a, b)
	connect(t, b, a)
}

// A connection that carries no session is closed, too.
func TestBlockClosesIdleConnections(t *testing.T) {
	memnet, patient := newMemNet(), WithTimeouts(patientTimeouts())
	a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1), patient), memnet.newNode(t, net.IPv4(10, 0, 0, 2), patient)
	require.True(t, b.open(t, a))
	require.NoError(t, a.Block(b.key.ID()))
	require.Eventually(t, func() bool { return len(a.Host().Network().Conns()) == 0 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return len(b.Host().Network().Conns()) == 0 }, patience, time.Millisecond)
	require.False(t, b.open(t, a))
}

// A node for which another one speaks has no connection of its own: its session is refused,
// or ended.
func TestBlockDelegated(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	b.acceptLoop(t)
	as := delegated(a)
	id := as.NodeInfo.ID()
	p, err := a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	own, err := a.dial(t, b)
	require.NoError(t, err)
	require.NoError(t, own.Start())

	require.NoError(t, b.Block(id))
	f := a.failure(t)
	require.Same(t, p, f.peer)
	requireBanned(t, f.err, true)
	_, err = a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	requireBanned(t, err, true)
	require.True(t, own.IsRunning(), "who spoke for it is not blocked")

	// A session for which a blocked node speaks is refused.
	b.Unblock(id)
	require.NoError(t, b.Block(a.key.ID()))
	require.Same(t, own, a.failure(t).peer)
	_, err = a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	require.Error(t, err)
}

func delegated(n *node) Identity {
	key := types.GenerateNodeKey()

	return Identity{Key: key.PrivKey, NodeInfo: nodeInfo(key.ID())}
}

func TestBlockIsBounded(t *testing.T) {
	g := newGater()
	for i := range MaxBlocked {
		require.NoError(t, block(g, g.subnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 32)))
		require.NoError(t, block(g, g.ids, types.ID(strconv.Itoa(i))))
	}
	require.ErrorIs(t, block(g, g.subnets, netip.MustParsePrefix("192.168.0.0/16")), ErrTooManyBlocked)
	require.ErrorIs(t, block(g, g.ids, "another"), ErrTooManyBlocked)
	require.NoError(t, block(g, g.ids, "0"), "it is in the list")
	unblock(g, g.subnets, netip.MustParsePrefix("10.0.0.1/32"))
	require.NoError(t, block(g, g.subnets, netip.MustParsePrefix("192.168.0.0/16")))
}

func TestBlockedIP(t *testing.T) {
	g := newGater()
	require.NoError(t, block(g, g.subnets, netip.MustParsePrefix("2001:db8::/32")))
	require.NoError(t, block(g, g.subnets, netip.MustParsePrefix("192.0.2.0/25")))
	for ip, blocked := range map[string]bool{
		"2001:db8:1::1": true, "2001:db9::1": false, "192.0.2.127": true, "192.0.2.128": false,
		"::ffff:192.0.2.1": true, "::": false, "0.0.0.0": false,
	} {
		require.Equal(t, blocked, g.blockedIP(netip.MustParseAddr(ip)), ip)
	}
	require.False(t, g.blockedIP(netip.Addr{}))
}

func TestBlockChecksItsArguments(t *testing.T) {
	a := newNode(t, nil)
	require.Error(t, a.Block("nobody"))
	require.Error(t, a.BlockIP(net.IP{1, 2, 3}))
	require.Error(t, a.BlockSubnet(nil))
	require.Error(t, a.BlockSubnet(&net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(64, 128)}))
	require.NoError(t, a.BlockSubnet(&net.IPNet{IP: net.IPv4(10, 1, 0, 0), Mask: net.CIDRMask(16, 32)}))
	require.True(t, a.gater.blockedIP(netip.MustParseAddr("10.1.2.3")))
}

// judging is a switch that answers AdmitConn with a code.
type judging struct {
	*behavior
	code compat.RejectCode
}

func (j *judging) AdmitConn(net.IP) error { return compat.Reject(j.code, "") }

// The switch blames the remote for a violation, but not for what a slow network can cause.
func TestViolationsAreBlamedOnTheRemote(t *testing.T) {
	for err, blamed := range map[error]bool{control.Violation("x"): true, control.TooSlow("x"): false} {
		require.ErrorIs(t, err, control.ErrProtocol)
		require.Equal(t, blamed, errors.Is(err, compat.ErrViolation))
		require.EqualError(t, err, "session protocol violation: rejected: invalid: x")
	}
}

// A host that the switch has banned gets no connection. One for which it only has no slot does:
// not every connection is for a session.
func TestHostsAreBannedBeforeTheHandshake(t *testing.T) {
	for code, connects := range map[compat.RejectCode]bool{compat.RejectBanned: false, compat.RejectFull: true} {
		memnet, patient := newMemNet(), WithTimeouts(patientTimeouts())
		for name, nodes := range map[string][2]*node{
			"simulated TCP": {memnet.newNode(t, net.IPv4(10, 0, 0, 1), patient), memnet.newNode(t, net.IPv4(10, 0, 0, 2), patient)},
			"TCP":           {newNode(t, nil), newNode(t, nil)},
			"QUIC":          {newNode(t, nil, WithQUICOnly()), newNode(t, nil, WithQUICOnly())},
		} {
			t.Run(code.String()+" over "+name, func(t *testing.T) {
				a, b := nodes[0], nodes[1]
				a.gater.guard.Ask(&judging{a.behavior, code})
				require.Equal(t, connects, b.open(t, a))
			})
		}
	}
}

// What is blocked is refused with one line in the log, which names the keys.
func TestBlockedConnectionsAreLogged(t *testing.T) {
	for name, block := range map[string]func(a, b *node) error{
		"IP":     func(a, _ *node) error { return a.BlockSubnet(subnet("127.0.0.0/8")) },
		"ID":     func(a, b *node) error { return a.Block(b.key.ID()) },
		"switch": func(a, _ *node) error { a.gater.guard.Ask(&judging{a.behavior, compat.RejectBanned}); return nil },
	} {
		for network, opts := range map[string][]Option{"TCP": nil, "QUIC": {WithQUICOnly()}} {
			t.Run(name+" over "+network, func(t *testing.T) {
				a, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1), opts...)
				b := newNode(t, nil, opts...)
				require.NoError(t, block(a, b))
				require.False(t, b.open(t, a))
				require.Eventually(t, func() bool { return strings.Contains(log.String(), "inbound connection") }, patience, time.Millisecond)
				require.NoError(t, a.Close())
				lines := slices.DeleteFunc(strings.Split(log.String(), "\n"), func(line string) bool {
					return !strings.Contains(line, "inbound connection")
				})
				require.Len(t, lines, 1, log.String())
				require.Contains(t, lines[0], "level=INFO")
				require.Contains(t, lines[0], "address=127.0.0.1:")
				switch {
				case name == "ID" && network == "TCP":
					require.Contains(t, lines[0], "gater rejected connection with peer") // libp2p's words
				case name != "switch": // whose text is its own
					require.Contains(t, lines[0], "(blocked_peers, blocked_ips)")
				}
			})
		}
	}
}

// A relay does not answer for those that connect through it.
func TestRelayIsNotBannedForOthers(t *testing.T) {
	g := newGater()
	g.guard.Ask(&judging{code: compat.RejectBanned})
	relay := multiaddr.StringCast("/ip4/9.8.7.6/tcp/1")
	require.False(t, g.InterceptAccept(remoteAddr{at: relay}))
	require.True(t, g.InterceptAccept(remoteAddr{at: relay.Encapsulate(multiaddr.StringCast("/p2p-circuit"))}))
}

// remoteAddr is a connection that only says where its remote is.
type remoteAddr struct {
	network.ConnMultiaddrs
	at multiaddr.Multiaddr
}

func (r remoteAddr) RemoteMultiaddr() multiaddr.Multiaddr { return r.at }
