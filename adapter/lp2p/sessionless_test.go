package lp2p

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// newClient returns a node that dials from the IP, over TCP or QUIC, until the test ends.
func newClient(t *testing.T, ip string, quic bool) *node {
	t.Helper()
	if !quic {
		n := newDialer(t, ip)
		t.Cleanup(func() { require.NoError(t, n.Close()) })

		return n
	}
	n, _ := newLoggedNode(t, net.ParseIP(ip), WithTimeouts(patientTimeouts()), WithQUICOnly())

	return n
}

// meet makes a connection without a session to the node at the address.
func (n *node) meet(t *testing.T, at types.NetAddress, id peer.ID) {
	t.Helper()
	maddrs, err := n.opts.dialAddrs(at.IP, at.Port)
	require.NoError(t, err)
	require.NoError(t, n.Host().Connect(timeout(t), peer.AddrInfo{ID: id, Addrs: maddrs}))
}

// inboundConns counts the connections that remotes have opened to the node.
func (n *node) inboundConns(t *testing.T) (count int) {
	t.Helper()
	require.NoError(t, n.Host().Network().ResourceManager().ViewSystem(func(s network.ResourceScope) error {
		count = s.Stat().NumConnsInbound

		return nil
	}))

	return count
}

// Connections without a session keep nobody out, however many one site has: neither another
// network nor a configured peer of the same site. Those with a session stay.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	const most, site = 8, "2a00:1:1:%x::1"
	for name, quic := range map[string]bool{"TCP": false, "QUIC": true} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			limits.Connections, limits.ConnectionsInbound = 4*most, most
			limits.ConnectionsPerIP = most / 8 // the site has all that it may have, too
			opts := []Option{WithLimits(limits), WithTimeouts(patientTimeouts())}
			if quic {
				opts = append(opts, WithQUIC())
			}
			listener, logs := newLoggedNode(t, net.ParseIP("::"), opts...)
			at, id := listener.NetAddress(), listener.Host().ID()
			at.IP = net.ParseIP("2a01::1")
			configured := newClient(t, fmt.Sprintf(site, 0xffff), quic)
			listener.acceptLoopOf(t, exempting{listener.behavior, configured.key.ID()})
			dial := func(n *node) compat.PeerConn {
				_, err := p2paddr.Learn(n.book, id)
				require.NoError(t, err)
				p, err := n.Dial(timeout(t), at, n.behavior)
				require.NoError(t, err)
				require.NoError(t, p.Start())

				return p
			}

			peers := []compat.PeerConn{dial(newClient(t, fmt.Sprintf(site, 0xfffe), quic))}
			for i := range most - 1 {
				newClient(t, fmt.Sprintf(site, i), quic).meet(t, at, id)
			}
			require.Equal(t, most, listener.inboundConns(t))
			peers = append(peers, dial(configured))
			for i := range 3 {
				peers = append(peers, dial(newClient(t, fmt.Sprintf("2a02:%x::1", i), quic)))
			}
			for _, p := range peers {
				require.True(t, p.IsRunning())
			}
			require.LessOrEqual(t, listener.inboundConns(t), most)
			require.Contains(t, logs.String(), errNoRoom.Error())
		})
	}
}

// Neither a session nor the handshake of one makes room, and where there is nothing else the
// newcomer is refused.
func TestSessionsDoNotMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.Connections, limits.ConnectionsInbound = 16, 3
		memnet := newMemNet()
		n := memnet.newNode(t, net.IPv4(10, 0, 0, 1), WithLimits(limits))
		at := func(a, b byte) *node {
			other := memnet.newNode(t, net.IPv4(10, a, 0, b))
			_, err := p2paddr.Learn(other.book, n.Host().ID()) // so that a dial takes one connection
			require.NoError(t, err)

			return other
		}
		isConnected := func(other *node) bool {
			return n.Host().Network().Connectedness(other.Host().ID()) == network.Connected
		}
		p, _ := connect(t, at(1, 1), n)
		opening := at(1, 2)
		require.NoError(t, opening.Host().Connect(timeout(t), peer.AddrInfo{ID: n.Host().ID(), Addrs: n.Host().Addrs()}))
		dialed := make(chan error, 1)
		go func() {
			_, err := opening.Dial(timeout(t), n.NetAddress(), opening.behavior)
			dialed <- err
		}()
		pending, err := n.AcceptPending(timeout(t))
		require.NoError(t, err)

		idle, newcomer := at(1, 3), at(2, 1)
		require.True(t, idle.holds(t, n))
		require.True(t, newcomer.holds(t, n))
		require.False(t, isConnected(idle))
		require.True(t, isConnected(opening))
		_, err = pending.Complete(timeout(t), n.info, n.behavior)
		require.NoError(t, err)
		require.NoError(t, <-dialed)
		q, _ := connect(t, newcomer, n)
		require.False(t, at(3, 1).holds(t, n))
		require.True(t, p.IsRunning())
		require.True(t, q.IsRunning())
		require.True(t, isConnected(opening))
	})
}

// Who is blocked has nobody give way, although QUIC asks for room before it asks who is blocked.
func TestBlockedConnectionsDisplaceNobody(t *testing.T) {
	blocked, other, bad := netip.MustParseAddr("6.6.6.6"), netip.MustParseAddr("8.8.8.8"), peer.ID("bad")
	sl := newSessionless()
	sl.exempt = func(peer.ID) bool { return false }
	sl.blocked = func(from netip.Addr, p peer.ID) bool { return from == blocked || p == bad }
	full := false
	open := func() (network.ConnManagementScope, error) {
		if full {
			return nil, network.ErrResourceLimitExceeded
		}

		return &network.NullScope{}, nil
	}
	idle, err := sl.admit(netip.MustParseAddr("9.9.9.9"), "idle", open)
	require.NoError(t, err)
	require.NoError(t, idle.SetPeer("idle"))
	full = true
	for _, c := range []struct {
		from netip.Addr
		p    peer.ID
	}{{blocked, ""}, {blocked, "good"}, {other, bad}} {
		_, err = sl.admit(c.from, c.p, open)
		require.ErrorIs(t, err, network.ErrResourceLimitExceeded)
		require.False(t, idle.evicted)
	}
	_, err = sl.admit(other, "good", open)
	require.ErrorIs(t, err, network.ErrResourceLimitExceeded, "the limit of its own IP, say")
	require.True(t, idle.evicted)
}

// QUIC connections whose remotes have not proved an ID are bounded, use no resources, and leave
// room for configured peers.
func TestHalfOpenQUICUsesNoResources(t *testing.T) {
	limits := DefaultLimits()
	limits.Connections, limits.ConnectionsInbound = 2*minPlaces, 1
	o, err := newOptions([]Option{WithLimits(limits)})
	require.NoError(t, err)
	resources, err := newResourceManager(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, resources.Close()) })
	friend := multiaddr.StringCast("/ip4/9.9.9.9/udp/1/quic-v1")
	o.udp.reserves = func(ip netip.Addr) bool { return ip == ipOf(friend) }
	stranger := multiaddr.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")
	open := func(from multiaddr.Multiaddr) (network.ConnManagementScope, error) {
		return resources.OpenConnection(network.DirInbound, false, from)
	}
	var scopes []network.ConnManagementScope
	for range minPlaces {
		scope, err := open(stranger)
		require.NoError(t, err)
		scopes = append(scopes, scope)
	}
	_, err = open(stranger)
	require.ErrorIs(t, err, network.ErrResourceLimitExceeded)
	_, err = open(friend)
	require.NoError(t, err)
	scopes[0].Done()
	require.ErrorIs(t, scopes[0].SetPeer("late"), network.ErrResourceScopeClosed)
	require.NoError(t, scopes[1].SetPeer("the only one"))
	require.ErrorIs(t, scopes[2].SetPeer("another one"), network.ErrResourceLimitExceeded)
	for range 3 { // of those that have left their places
		_, err = open(stranger)
		require.NoError(t, err)
	}
	_, err = open(stranger)
	require.ErrorIs(t, err, network.ErrResourceLimitExceeded)
}
