package native_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// crowdedNode is a switch on TCP that takes the IPs of its peers from PROXY headers, so that
// one machine can connect from anywhere.
type crowdedNode struct {
	*guardedNode
}

func newCrowdedNode(t *testing.T, opts ...adapter.SwitchOption) *crowdedNode {
	t.Helper()
	key := types.GenerateNodeKey()
	info := crowdInfo(key.ID())
	n := &guardedNode{t: t, levels: newLevels()}
	n.tr = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), slog.New(n.levels),
		native.WithProxyProtocol(netip.MustParsePrefix("127.0.0.0/8")), native.WithHandshakeTimeout(guardTimeout))
	t.Cleanup(func() { require.NoError(t, n.tr.Close()) })
	require.NoError(t, n.tr.Listen(*info.NetAddress))
	n.addr = n.tr.NetAddress()
	n.start(append(opts, adapter.WithLogger(slog.New(n.levels)))...)

	return &crowdedNode{guardedNode: n}
}

func crowdInfo(id types.ID) types.NodeInfo {
	return types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)},
		Network:    "net", Version: "v1.0.0", Channels: []byte{0x20}, Moniker: "test",
	}
}

// visitor connects to a crowdedNode as a node of its own.
type visitor struct {
	key  *types.NodeKey
	tr   *native.MultiplexTransport
	peer compat.PeerConn // not started
}

// newVisitor makes a node that is not connected yet.
func newVisitor(t *testing.T) *visitor {
	t.Helper()
	v := &visitor{key: types.GenerateNodeKey()}
	v.tr = native.NewMultiplexTransport(crowdInfo(v.key.ID()), *v.key, mconn.DefaultMConnConfig(), nil,
		native.WithHandshakeTimeout(guardTimeout))
	t.Cleanup(func() { require.NoError(t, v.tr.Close()) })

	return v
}

// visit connects from the IP and reports whether the node has admitted the visitor.
func (v *visitor) visit(n *crowdedNode, ip string) (admitted bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), guardTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.addr.DialString())
	require.NoError(n.t, err)
	n.t.Cleanup(func() { _ = conn.Close() }) // the node may have closed it
	source := &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711}
	header, err := proxyproto.HeaderProxyFromAddrs(2, source, &net.TCPAddr{IP: source.IP, Port: 26656}).Format()
	require.NoError(n.t, err)
	_, err = conn.Write(header)
	require.NoError(n.t, err)
	if v.peer, err = v.tr.Connect(ctx, conn, n.addr, &quiet{}); err != nil {
		return false // closed before the handshake
	}
	for {
		switch e := n.next().(type) {
		case events.PeerConnectedEvent:
			require.Equal(n.t, v.key.ID(), e.PeerID)

			return true
		case events.PeerRejectedEvent:
			require.Equal(n.t, v.key.ID(), e.PeerID)

			return false
		}
	}
}

// leave ends the connection and waits until the node has noticed.
func (v *visitor) leave(n *crowdedNode) {
	n.t.Helper()
	require.NoError(n.t, v.peer.CloseConn())
	n.awaitLossOf(v)
}

func (n *crowdedNode) awaitLossOf(v *visitor) error {
	n.t.Helper()
	e, ok := n.next().(events.PeerDisconnectedEvent)
	require.True(n.t, ok)
	require.Equal(n.t, v.key.ID(), e.PeerID)

	return e.Reason
}

// quiet is a behavior with a channel on which it sends only.
type quiet struct{}

func (*quiet) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1}}
}
func (*quiet) Reactors() map[byte]compat.Reactor      { return nil }
func (*quiet) HandlePeerError(compat.PeerConn, error) {}
func (*quiet) IsPersistentPeer(types.ID) bool         { return false }
func (*quiet) IsPrivatePeer(types.ID) bool            { return false }

// Whoever names IDs to a node makes it dial them. That gives these IDs no more than the one
// slot of their IP.
func TestMadeUpIDsGetOneSlotOfAnIP(t *testing.T) {
	const attacker = "203.0.113.9"
	// A peer that may come from any IP keeps the question open until the handshake is over.
	hub := newCrowdedNode(t, adapter.WithUnconditionalPeers([]types.ID{types.GenerateNodeKey().ID()}))
	var visitors []*visitor
	for i := range 30 {
		v := newVisitor(t)
		visitors = append(visitors, v)
		hub.DialPeers(&types.NetAddress{ID: v.key.ID(), IP: net.ParseIP(attacker), Port: uint16(1000 + i)})
	}
	require.True(t, visitors[0].visit(hub, attacker))
	for _, v := range visitors[1:] {
		require.False(t, v.visit(hub, attacker))
	}
	require.True(t, newVisitor(t).visit(hub, "203.0.113.10"), "another IP has a slot of its own")
	require.Len(t, hub.Peers().List(), 2)
}

// The holder of an IPv6 address has all of its /64.
func TestOneSlotOfAnIPv6Network(t *testing.T) {
	hub := newCrowdedNode(t)
	require.True(t, newVisitor(t).visit(hub, "2600:1:2:3::1"))
	for i := range 10 {
		require.False(t, newVisitor(t).visit(hub, fmt.Sprintf("2600:1:2:3:%x::1", i+1)))
	}
	require.True(t, newVisitor(t).visit(hub, "2600:1:2:4::1"), "another /64 has a slot of its own")
}

// When the peers of one network have taken all slots, peers of other networks get in, each
// in the place of one of them.
func TestCrowdedNetworkGivesWay(t *testing.T) {
	const slots = 12
	hub := newCrowdedNode(t, adapter.WithMaxInboundPeers(slots))
	for i := range slots {
		require.True(t, newVisitor(t).visit(hub, fmt.Sprintf("203.0.113.%d", i+1)))
	}
	require.False(t, newVisitor(t).visit(hub, "203.0.113.99"), "nobody is more crowded than its own network")
	for i := range slots / 2 {
		require.True(t, newVisitor(t).visit(hub, fmt.Sprintf("198.%d.100.1", 20+i)), "visitor %d", i)
		require.EqualValues(t, slots, hub.Peers().NumInbound())
	}
	var crowd int
	for _, p := range hub.Peers().List() {
		if p.RemoteIP().Mask(net.CIDRMask(16, 32)).Equal(net.IPv4(203, 0, 0, 0)) {
			crowd++
		}
	}
	require.Equal(t, slots/2, crowd)
}

// A host that keeps connecting and leaving is refused before the handshake after a few times.
// Others, and a peer of a configured address, are not.
func TestHostThatKeepsLeavingIsSlowedDown(t *testing.T) {
	const restless = "203.0.113.9"
	sentry := newVisitor(t)
	addr := &types.NetAddress{ID: sentry.key.ID(), IP: net.IPv4(203, 0, 113, 200), Port: 1}
	hub := newCrowdedNode(t, adapter.WithPersistentPeers([]*types.NetAddress{addr}))
	var admitted int
	for v := newVisitor(t); v.visit(hub, restless); v = newVisitor(t) {
		v.leave(hub)
		admitted++
		require.Less(t, admitted, 100)
	}
	require.Greater(t, admitted, 3, "a few are free")
	require.Len(t, hub.levels.get(refusedEarly), 1)
	for range 3 {
		require.False(t, newVisitor(t).visit(hub, restless))
	}
	require.Len(t, hub.levels.get(refusedEarly), 4, "before the handshake")
	require.Len(t, hub.levels.get("host is refused for a while"), 1)
	require.True(t, newVisitor(t).visit(hub, "203.0.113.10"))
	for range 20 {
		require.True(t, sentry.visit(hub, "203.0.113.200"))
		sentry.leave(hub)
	}
}

// A peer that breaks the protocol is out for a while, under any ID.
func TestViolationIsRemembered(t *testing.T) {
	const ip = "203.0.113.9"
	hub := newCrowdedNode(t)
	v := newVisitor(t)
	require.True(t, v.visit(hub, ip))
	require.NoError(t, v.peer.Start())
	require.True(t, v.peer.Send(0x20, make([]byte, 2<<10)), "more than the channel takes")
	require.ErrorIs(t, hub.awaitLossOf(v), compat.ErrViolation)
	require.False(t, v.visit(hub, ip))
	require.False(t, newVisitor(t).visit(hub, ip))
	require.False(t, v.visit(hub, "198.51.100.1"), "the ID is known elsewhere")
	require.True(t, newVisitor(t).visit(hub, "198.51.100.2"))
}
