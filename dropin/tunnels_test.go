package dropin

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// TestTunnelsNeedLibp2pAlone checks that no stack ignores the tunnels that an operator or a
// program wants, and that a node is not its own bridge.
func TestTunnelsNeedLibp2pAlone(t *testing.T) {
	const bridges = `tunnel_bridges = "` + someID + `@192.0.2.1:36656"`
	for _, choice := range [][2]string{{"dual", "auto"}, {"libp2p", "auto"}, {"native", "native"}} {
		_, err := configuredStack(`stack = "`+choice[0]+`"`, `dial = "`+choice[1]+`"`, bridges).make(t, loopbackConfig(), nil)
		require.ErrorContains(t, err, "[p2p]."+bridges[:len("tunnel_bridges")]+` = "`+someID+`@192.0.2.1:36656"`)
		require.ErrorContains(t, err, `set [p2p].stack and [p2p].dial to "libp2p"`)
	}
	at := types.NetAddress{ID: someID, IP: net.IPv4(192, 0, 2, 1), Port: 36656}
	_, err := dualStack().make(t, loopbackConfig(), nil, WithTunnels([]types.NetAddress{at}))
	require.ErrorIs(t, err, errTunnels)
	require.ErrorContains(t, err, "WithTunnels")

	key, info := newIdentity(testChannel)
	at.ID = types.ID(key.ID())
	_, err = NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithTunnels([]types.NetAddress{at}))
	require.ErrorContains(t, err, "is this node, not a bridge")
	_, err = NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithTunnels(nil, someID))
	require.ErrorIs(t, err, errNoBridges)

	_, log, err := configured(t, homeWith(t, map[string]string{ownFile: "[p2p]\ntunnel_peer_ids = \"" + someID + "\""}))
	require.NoError(t, err)
	require.Contains(t, log, "[p2p].tunnel_peer_ids has no effect: there is no tunnel without tunnel_bridges")
}

// TestWithTunnels connects a node to a native one that only a bridge can reach, and to a libp2p
// one, by one switch.
func TestWithTunnels(t *testing.T) {
	far, friend := newGnoRecorder("far", testChannel), newGnoRecorder("friend", testChannel)
	native := newSwitchWith(t, stacks()[0], loopbackConfig(), map[string]p2p.Reactor{"R": far})
	require.NoError(t, native.Start())
	libp2p := newSwitchWith(t, stacks()[1], loopbackConfig(), map[string]p2p.Reactor{"R": friend})
	require.NoError(t, libp2p.Start())
	key, info := newIdentity(testChannel)
	b := startBridge(t, native, types.ID(key.ID()))
	bridgeAt := b.Libp2pAddress()

	r := newGnoRecorder("r", testChannel)
	sw, err := NewLibp2pSwitch(info, key, loopbackConfig(native.NetAddress(), libp2p.NetAddress()), map[string]p2p.Reactor{"R": r}, nil,
		WithTunnels([]types.NetAddress{bridgeAt}, types.ID(native.NetAddress().ID)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	require.NoError(t, sw.Start())
	for range 2 {
		require.True(t, await(t, r.added).Send(testChannel, []byte("hello")))
	}
	require.Equal(t, "hello", await(t, far.received).msg)
	require.Equal(t, "hello", await(t, friend.received).msg)
	require.Equal(t, key.ID(), await(t, far.added).ID())
	for _, link := range sw.MultiplexSwitch().Links() {
		want := map[types.ID]types.ID{types.ID(native.NetAddress().ID): bridgeAt.ID}[link.PeerID]
		require.Equal(t, want, link.Tunnel)
	}
}

// startBridge starts a bridge that joins a native node and, by tunnels, the node with the ID.
func startBridge(t *testing.T, native *Switch, id types.ID) *bridge.Bridge {
	t.Helper()
	at, listen := native.NetAddress(), types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}
	b, err := bridge.New(*types.GenerateNodeKey(), bridge.Config{
		NativeListen: listen, Libp2pListen: listen, NativePeers: []*types.NetAddress{FromNetAddress(&at)},
		Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: id}, Listen: listen}},
	}, nil)
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })

	return b
}

// TestWrongBridges checks what a node logs of a bridge that is another node, has no tunnel for
// it, or is no bridge at all.
func TestWrongBridges(t *testing.T) {
	native, plain := newSwitchWith(t, stacks()[0], loopbackConfig(), nil), newSwitchWith(t, stacks()[1], loopbackConfig(), nil)
	require.NoError(t, native.Start())
	require.NoError(t, plain.Start())
	forOthers := startBridge(t, native, types.GenerateNodeKey().ID()).Libp2pAddress()
	other := forOthers
	other.ID = types.GenerateNodeKey().ID()
	noBridge := plain.NetAddress()
	log := &stacktest.Log{}
	key, info := newIdentity(testChannel)
	sw, err := NewLibp2pSwitch(info, key, loopbackConfig(), nil, slog.New(slog.NewTextHandler(log, nil)),
		WithTunnels([]types.NetAddress{forOthers, other, *FromNetAddress(&noBridge)}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	require.NoError(t, sw.Start())
	for bridge, why := range map[string]string{
		forOthers.String(): "the bridge has no tunnel for this node ([bridge].tunnels)", other.String(): string(forOthers.ID),
		noBridge.String(): "the other side opens no tunnels",
	} {
		require.Eventually(t, func() bool {
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "no native node reaches this node") && strings.Contains(line, bridge) && strings.Contains(line, why) {
					return true
				}
			}

			return false
		}, patience, 10*patience/10000, "%s: %s", bridge, why)
	}
}
