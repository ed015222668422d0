package interoptests

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// startInTunnel starts a node with libp2p connections only, whose native connections run in
// tunnels of the bridge.
func startInTunnel(t *testing.T, b *bridge.Bridge, key *types.NodeKey) *node {
	t.Helper()
	o := nodeOptions{moniker: "in a tunnel"}
	log, info := peerlog.New(o.moniker), newNodeInfo(key.ID(), o)
	side, err := lp2p.NewTransport(info, *key, newLogger(log))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, side.Close()) })
	sockets := tunnel.NewSockets(side, []types.NetAddress{b.Libp2pAddress()}, newLogger(log))
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), newLogger(log), native.WithSockets(sockets))

	return startNode(t, log, tr, info, o)
}

// TestGnoThroughTunnel checks that a gno node of each version and a node that has libp2p
// connections only know each other by their own IDs, whichever of them dials.
func TestGnoThroughTunnel(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		log, key := peerlog.New("bridge"), types.GenerateNodeKey()
		showOnFailure(t, log)
		listening := startVersion(t, version, "listening")
		reached, errs := types.NewNetAddressFromStrings([]string{listening.Addr()})
		require.Empty(t, errs)
		listen := *types.NewNetAddressFromIPPort(net.IPv4(127, 0, 0, 1), 0)
		b, err := bridge.New(*types.GenerateNodeKey(), bridge.Config{
			NativeListen: listen, Libp2pListen: listen, NativePeers: reached,
			Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: key.ID()}, Listen: listen}},
		}, newLogger(log))
		require.NoError(t, err)
		require.NoError(t, b.Start())
		t.Cleanup(func() { require.NoError(t, b.Stop()) })
		ours := startInTunnel(t, b, key)

		ours.Dial(listening.Addr())
		requireConnected(t, ours, listening)
		exchange(t, ours, listening, fewSizes)
		at := b.TunnelAddresses()
		dialing := legacy.Start(t, legacy.Options{
			Version: version, Moniker: "dialing", Channels: realChannels, AllowDuplicateIP: true, Persistent: []string{at[0].String()},
		})
		require.True(t, dialing.AwaitUp(t, ours.ID(), 1).Outbound)
		require.False(t, ours.AwaitUp(t, dialing.ID(), 1).Outbound)
		awaitConnected(t, dialing, ours)
		exchange(t, dialing, ours, on(realChannels, edges...))
		requireStillConnected(t, dialing, ours)
	})
}
