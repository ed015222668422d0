package bridge

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// refused dials the bridge, which has nobody for the node.
func (n *node) refused(t *testing.T, b *Bridge) {
	t.Helper()
	at := b.Libp2pAddress()
	if n.stack == InitiatorNative {
		at = b.NativeAddress()
	}
	require.False(t, n.comes(t, at))
}

// A native node whose libp2p node has gone gets one that has dialed the bridge, though
// that found nobody to be paired with.
func TestNodeThatHasDialedTakesOver(t *testing.T) {
	native, own, dialer := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(own)})
	dialer.refused(t, b)
	native.join(t, b.NativeAddress())
	own.met(t)

	own.stop()
	next(t, native.removed)
	native.join(t, b.NativeAddress())
	dialer.met(t)
	exchange(t, native, dialer)
}

// The same for a node that only the other libp2p node knows.
func TestNodeThatAnotherTellsOfTakesOver(t *testing.T) {
	channels := []byte{chVotes, chTxs, discoveryChannel}
	native := newNode(t, InitiatorNative, channels...)
	own, told := newNode(t, InitiatorLibp2p, channels...), newNode(t, InitiatorLibp2p)
	dead := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 1}
	b := newBridge(t, Config{Libp2pPeers: append(addresses(own), &dead)})
	native.join(t, b.NativeAddress())
	bridged := own.met(t)

	question := next(t, own.messages)
	require.Equal(t, message{bridged.ID(), discoveryChannel, string(wire.AppendRequest(nil))}, question)
	require.True(t, bridged.Send(discoveryChannel, wire.AppendResponse(nil, []string{told.address.String()})))
	require.True(t, bridged.Send(discoveryChannel, wire.AppendRequest(nil)))
	answer := next(t, own.messages) // what came before the question was received, too
	require.Equal(t, string(wire.AppendResponse(nil, []string{dead.String()})), answer.data)

	own.stop()
	next(t, native.removed)
	native.join(t, b.NativeAddress())
	told.met(t)
	exchange(t, native, told)
}

// A configured libp2p node that has moved, and dials the bridge, is paired where it is now,
// also by a bridge that pairs with no others.
func TestConfiguredTargetIsFoundWhereItDialsFrom(t *testing.T) {
	for _, only := range []bool{false, true} {
		native, moved := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
		former := moved.address
		former.Port = 1
		b := newBridge(t, Config{Libp2pPeers: []*types.NetAddress{&former}, OnlyConfigured: only})
		moved.refused(t, b)
		native.join(t, b.NativeAddress())
		moved.met(t)
		exchange(t, native, moved)
	}
}

func TestOnlyConfigured(t *testing.T) {
	native, dialer := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{OnlyConfigured: true})
	dialer.refused(t, b)
	native.refused(t, b)
	require.Empty(t, b.libp2pTargets.known())
}

// A node that is refused for its conduct does not become a target.
func TestRefusedNodeIsNotLearned(t *testing.T) {
	dialer := newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{})
	b.gate.keeper.Blame(dialer.address.ID, netip.Prefix{}, netip.Addr{}, conduct.ViolationPoints, compat.ErrViolation)
	dialer.refused(t, b)
	require.Empty(t, b.libp2pTargets.known())

	other := newNode(t, InitiatorLibp2p)
	other.refused(t, b)
	require.Equal(t, []types.ID{other.address.ID}, b.libp2pTargets.known(), "there is only no target for it")
}

// A peer that another bridge presents does not become a target.
func TestDelegatedPeerIsNotLearned(t *testing.T) {
	second := newBridge(t, Config{})
	addr := second.Libp2pAddress()
	first := newBridge(t, Config{Libp2pPeers: append(addresses(), &addr)})
	newNode(t, InitiatorNative).refused(t, first)
	require.Empty(t, second.libp2pTargets.known())
}

func TestWhereADialerIs(t *testing.T) {
	id := types.GenerateNodeKey().ID()
	far, near := net.IPv4(9, 9, 0, 1), net.IPv4(10, 0, 0, 1)
	b := &Bridge{config: Config{Libp2pListen: types.NetAddress{IP: net.IPv4(10, 0, 0, 3)}}}
	for _, c := range []struct{ named, from, want net.IP }{
		{net.IPv4(8, 8, 0, 1), far, net.IPv4(8, 8, 0, 1)},
		{net.IPv4zero, far, far},
		{net.IPv6unspecified, far, far},
		{near, far, far},
		{near, net.IPv4(10, 0, 0, 2), near},
		{net.IPv4zero, nil, nil},
	} {
		info := types.NodeInfo{NetAddress: &types.NetAddress{ID: id, IP: c.named, Port: 26656}}
		want := types.NetAddress{ID: id, IP: c.want, Port: 26656}
		got := b.dialerAddress(info, netgroup.FromIP(c.from))
		require.True(t, want.Equals(got), "%+v: %s", c, got.String())
	}
}
