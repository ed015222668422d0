package interoptests

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/freeport"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

func TestNativeDialsGno(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno, ours := startReal(t, version), startNative(t, nodeOptions{moniker: "ours"})
		ours.Dial(gno.Addr())
		requireConnected(t, ours, gno)

		// TM2 drops a connection that carries an empty message.
		peer := ours.sw.Peers().Get(types.ID(gno.ID()))
		require.False(t, peer.Send(0x20, nil))
		require.False(t, peer.TrySend(0x20, []byte{}))

		requireAllTraffic(t, version, ours, gno)
	})
}

func TestGnoDialsNative(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno, ours := startReal(t, version), startNative(t, nodeOptions{moniker: "ours"})
		gno.Dial(ours.Addr())
		requireConnected(t, gno, ours)
		requireAllTraffic(t, version, gno, ours)
	})
}

// startReal starts a gno peer of the version with all channels of a real node.
func startReal(t *testing.T, version string) *legacy.Peer {
	t.Helper()

	return legacy.Start(t, legacy.Options{Version: version, Moniker: "gno", Channels: realChannels})
}

// requireAllTraffic exchanges messages of all sizes on all real channels. The largest, which
// every version carries in the same way, pass the newest only, unless at full size.
func requireAllTraffic(t *testing.T, version string, a, b endpoint) {
	t.Helper()
	all := []traffic{on(realChannels, edges...)}
	if full() || version == legacy.V1_7_1 {
		all = append(all, largest, largestTx, afterwards)
	}
	for _, tr := range all {
		exchange(t, a, b, tr)
	}
	requireStillConnected(t, a, b)
}

// requireStillConnected checks that neither side has removed the other.
func requireStillConnected(t *testing.T, a, b endpoint) {
	t.Helper()
	down := func(e protocol.Event) bool { return e.Event == protocol.EventPeerDown }
	require.Empty(t, a.Events(down))
	require.Empty(t, b.Events(down))
}

func TestWrongIDIsRefused(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno, ours := startVersion(t, version, "gno"), startNative(t, nodeOptions{moniker: "ours"})
		other := types.GenerateNodeKey().ID()
		ours.Dial(types.NetAddressString(other, gno.HostPort()))
		ours.AwaitText(t, protocol.EventDialFailed, other.String(), gno.ID())

		ours.Dial(gno.Addr())
		requireConnected(t, ours, gno)
		exchange(t, ours, gno, fewSizes)
		require.Len(t, gno.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp }), 1)
	})
}

func TestOtherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno := legacy.Start(t, legacy.Options{Version: version, Moniker: "gno", Network: "net-a", AllowDuplicateIP: true})
		stranger := startNative(t, nodeOptions{moniker: "stranger", network: "net-b"})
		stranger.Dial(gno.Addr())
		stranger.AwaitText(t, protocol.EventDialFailed, "net-a", "net-b")
		gno.Dial(stranger.Addr())
		stranger.AwaitText(t, protocol.EventLog, "inbound", "net-a", "net-b")

		ours := startNative(t, nodeOptions{moniker: "ours", network: "net-a"})
		ours.Dial(gno.Addr())
		requireConnected(t, ours, gno)
		exchange(t, ours, gno, fewSizes)

		up := func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp }
		require.Empty(t, stranger.Events(up))
		require.Len(t, gno.Events(up), 1)
	})
}

func TestGnoPersistentRedial(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		o := legacy.Options{Version: version, Moniker: "gno", Seed: types.GenerateNodeKey().PrivKey.Seed()}
		port, err := freeport.Take()
		require.NoError(t, err)
		o.Listen = fmt.Sprintf("127.0.0.1:%d", port)
		gno := legacy.Start(t, o)
		ours := startNative(t, nodeOptions{moniker: "ours", persistent: []string{gno.Addr()}})
		requireConnected(t, ours, gno)
		exchange(t, ours, gno, fewSizes)

		gno.Kill()
		ours.AwaitDown(t, gno.ID(), 1)
		again := legacy.Start(t, o)
		require.Equal(t, gno.Addr(), again.Addr())

		require.True(t, ours.AwaitUp(t, gno.ID(), 2).Outbound)
		again.AwaitUp(t, ours.ID(), 1)
		exchange(t, ours, again, fewSizes)
	})
}

// TestOversizedMessageEndsThePeer checks that a message above the channel's capacity ends the
// peer on both sides, whichever side sent it, and affects no other peer.
func TestOversizedMessageEndsThePeer(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		const capacity = 1 << 20 // of 0x20
		gno, bystander := startVersion(t, version, "gno"), startNative(t, nodeOptions{moniker: "bystander"})
		bystander.Dial(gno.Addr())
		requireConnected(t, bystander, gno)

		for name, send := range map[string]func(*node){
			"sent by gno": func(n *node) { gno.Send(n.ID(), 0x20, capacity+1, 1, 1) },
			"sent by us":  func(n *node) { n.Send(gno.ID(), 0x20, capacity+1, 1, 1) },
		} {
			ours := startNative(t, nodeOptions{moniker: name})
			ours.Dial(gno.Addr())
			requireConnected(t, ours, gno)
			send(ours)
			ours.AwaitDown(t, gno.ID(), 1)
			gno.AwaitDown(t, ours.ID(), 1)
		}
		exchange(t, bystander, gno, fewSizes)
		require.Empty(t, bystander.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerDown }))
	})
}

// TestMixedMesh connects a peer of each version and two of ours with each other, and
// exchanges messages on every connection.
func TestMixedMesh(t *testing.T) {
	t.Parallel()
	nodes := []endpoint{
		startVersion(t, legacy.V1_7_1, "newest"),
		startNative(t, nodeOptions{moniker: "ours1"}),
		startVersion(t, legacy.V1_4_0, "middle"),
		startNative(t, nodeOptions{moniker: "ours2"}),
		startVersion(t, legacy.V1_1_0, "oldest"),
	}
	for i, acceptor := range nodes {
		for _, dialer := range nodes[i+1:] {
			dialer.Dial(acceptor.Addr())
		}
	}
	for i, acceptor := range nodes {
		for _, dialer := range nodes[i+1:] {
			requireConnected(t, dialer, acceptor)
		}
	}

	each := on(channels, batch{1, 5}, batch{1000, 20}, batch{5000, 5})
	var checks []func(*testing.T)
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				checks = append(checks, send(from, to, from.ID(), to.ID(), each))
			}
		}
	}
	for _, check := range checks {
		check(t)
	}

	const sentBefore, toAll, seed = 5 + 20 + 5, 20, 7
	for _, from := range nodes {
		from.Send(protocol.AllPeers, 0x30, 500, toAll, seed)
	}
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			got := to.AwaitReceived(t, from.ID(), 0x30, sentBefore+toAll)[sentBefore:]
			for i, digest := range got {
				require.Equal(t, protocol.DigestOf(protocol.Payload(seed, i, 500)), digest)
			}
		}
	}
}
