package interoptests

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// startDropin starts a node on libp2p alone by the lines of its p2p.toml, as an operator does.
func startDropin(t *testing.T, key *types.NodeKey, o nodeOptions, persistent, lines string) *node {
	t.Helper()
	log, info, home := peerlog.New(o.moniker), newNodeInfo(key.ID(), o), t.TempDir()
	showOnFailure(t, log)
	require.NoError(t, os.Mkdir(filepath.Join(home, "config"), 0o755))
	own := "[p2p]\nstack = \"libp2p\"\ndial = \"libp2p\"\n" + lines
	require.NoError(t, os.WriteFile(filepath.Join(home, "config", "p2p.toml"), []byte(own), 0o600))
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.RootDir, cfg.ListenAddress, cfg.PersistentPeers, cfg.PeerExchange = home, "tcp://"+o.ip+":0", persistent, false
	gnoKey, err := dropin.NodeKey(*key)
	require.NoError(t, err)
	sw, err := dropin.NewConfiguredSwitch(dropin.NodeInfo(info), gnoKey, cfg,
		map[string]p2p.Reactor{"interop": dropin.Reactor(newRecorder(t, log, false))}, newLogger(log),
		dropin.WithLibp2pOptions(lp2p.WithSockets(o.sockets())))
	require.NoError(t, err)
	n := &node{Log: log, t: t, info: info, sw: sw.MultiplexSwitch(), stop: sw.Stop, queues: make(map[byte]chan func())}
	n.runSenders()
	n.watch()
	t.Cleanup(n.Stop)
	require.NoError(t, sw.Start())
	addr := sw.NetAddress()
	n.info.NetAddress = dropin.FromNetAddress(&addr)

	return n
}

// A gnoland node on libp2p alone has gno nodes in tunnels by two keys of its configuration, at
// defaults and at public IPs: one that it dials, and one that dials it. Each knows the other by
// its own ID. They are back when the bridge is.
func TestDropinThroughTunnel(t *testing.T) {
	t.Parallel()
	if !netnstest.Inside(t) {
		return
	}
	key, bridgeKey := types.GenerateNodeKey(), types.GenerateNodeKey()
	listening := legacy.Start(t, legacy.Options{Moniker: "listening", Listen: "51.100.0.1:0", Channels: realChannels})
	reached, errs := types.NewNetAddressFromStrings([]string{listening.Addr()})
	require.Empty(t, errs)
	at := types.NetAddress{IP: net.ParseIP("60.0.0.1")}
	config := bridge.Config{
		NativeListen: at, Libp2pListen: at, NativePeers: reached, Sockets: stacktest.SocketsFrom{IP: at.IP},
		Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: key.ID()}, Listen: at}},
	}
	b := startBridgeOf(t, bridgeKey, config)
	config.Libp2pListen.Port, config.Tunnels[0].Listen.Port = b.Libp2pAddress().Port, b.TunnelAddresses()[0].Port

	bridgeAt := b.Libp2pAddress()
	ours := startDropin(t, key, nodeOptions{moniker: "in a tunnel", ip: "52.1.0.1"}, listening.Addr(),
		fmt.Sprintf("tunnel_bridges = %q\ntunnel_peer_ids = %q\n", bridgeAt.String(), listening.ID()))
	dialing := legacy.Start(t, legacy.Options{
		Moniker: "dialing", Listen: "51.101.0.1:0", Channels: realChannels, Persistent: []string{b.TunnelAddresses()[0].String()},
	})
	requireBoth := func(n int) {
		require.True(t, ours.AwaitUp(t, listening.ID(), n).Outbound)
		require.False(t, listening.AwaitUp(t, ours.ID(), n).Outbound)
		require.True(t, dialing.AwaitUp(t, ours.ID(), n).Outbound)
		require.False(t, ours.AwaitUp(t, dialing.ID(), n).Outbound)
		awaitConnected(t, ours, listening)
		awaitConnected(t, dialing, ours)
	}
	requireBoth(1)
	exchange(t, ours, listening, fewSizes)
	exchange(t, dialing, ours, fewSizes)
	links := ours.sw.Links()
	require.Len(t, links, 2)
	for _, link := range links {
		require.Equal(t, types.StackNative, link.Stack)
		require.Equal(t, bridgeKey.ID(), link.Tunnel)
		require.Empty(t, link.Delegate)
		require.Contains(t, []string{listening.ID(), dialing.ID()}, link.PeerID.String())
	}
	ours.AwaitText(t, protocol.EventLog, "peer connected", dialing.ID(), "tunnel", bridgeKey.ID().String())
	require.Empty(t, b.Status().Pairs)

	require.NoError(t, b.Stop())
	ours.AwaitDown(t, listening.ID(), 1)
	ours.AwaitDown(t, dialing.ID(), 1)
	ours.AwaitText(t, protocol.EventLog, "no native node reaches this node through the bridge", bridgeKey.ID().String())
	startBridgeOf(t, bridgeKey, config)
	requireBoth(2)
	exchange(t, ours, listening, fewSizes)
	exchange(t, dialing, ours, fewSizes)
}

// startBridgeOf starts a bridge, which the test may stop.
func startBridgeOf(t *testing.T, key *types.NodeKey, config bridge.Config) *bridge.Bridge {
	t.Helper()
	log := peerlog.New("bridge")
	showOnFailure(t, log)
	b, err := bridge.New(*key, config, newLogger(log))
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { _ = b.Stop() }) // the test may have stopped it

	return b
}
