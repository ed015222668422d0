package interoptests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
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
	requireNoneLost(t, a, b)
}

// requireNoneLost is requireStillConnected for nodes that a test has made dial each other: each removal
// of a peer goes with a dial that was late and repeated.
func requireNoneLost(t *testing.T, a, b endpoint) {
	t.Helper()
	requireStillConnected(t, a, b)
	for at, id := range map[endpoint]string{a: b.ID(), b: a.ID()} {
		lost := at.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerDown && e.Peer == id })
		require.LessOrEqual(t, len(lost), repeatsBetween(at.ID(), id), "%s has removed %s: %+v", at.Addr(), id, lost)
	}
}

// requireStillConnected checks that neither side has removed a peer from which it has received a
// message. Before, a late handshake may make a peer at one end only, for a moment.
func requireStillConnected(t *testing.T, a, b endpoint) {
	t.Helper()
	for _, at := range []endpoint{a, b} {
		heard := make(map[string]bool)
		for _, e := range at.Events(func(protocol.Event) bool { return true }) {
			switch e.Event {
			case protocol.EventReceived:
				heard[e.Peer] = true
			case protocol.EventPeerDown:
				require.False(t, heard[e.Peer], "%s has removed %s: %s", at.Addr(), e.Peer, e.Reason)
			}
		}
		require.NotEmpty(t, heard)
	}
}

func TestWrongIDIsRefused(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno, ours := startVersion(t, version, "gno"), startNative(t, nodeOptions{moniker: "ours"})
		other := types.GenerateNodeKey().ID()
		dialUntil(t, ours, types.NetAddressString(other, gno.HostPort()), ours, told(protocol.EventDialFailed, other.String(), gno.ID()))

		ours.Dial(gno.Addr())
		requireConnected(t, ours, gno)
		exchange(t, ours, gno, fewSizes)
		requirePeersOf(t, gno, ours)
	})
}

func TestOtherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno := legacy.Start(t, legacy.Options{Version: version, Moniker: "gno", Network: "net-a", AllowDuplicateIP: true})
		stranger := startNative(t, nodeOptions{moniker: "stranger", network: "net-b"})
		dialUntil(t, stranger, gno.Addr(), stranger, told(protocol.EventDialFailed, "net-a", "net-b"))
		dialUntil(t, gno, stranger.Addr(), stranger, told(protocol.EventLog, "inbound", "net-a", "net-b"))

		ours := startNative(t, nodeOptions{moniker: "ours", network: "net-a"})
		ours.Dial(gno.Addr())
		requireConnected(t, ours, gno)
		exchange(t, ours, gno, fewSizes)

		require.Empty(t, stranger.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp }))
		requirePeersOf(t, gno, ours)
	})
}

// told returns whether an event of the kind has a reason with all the parts.
func told(kind string, parts ...string) func([]protocol.Event) bool {
	return func(events []protocol.Event) bool {
		return slices.ContainsFunc(events, func(e protocol.Event) bool {
			return e.Event == kind && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Reason, part) })
		})
	}
}

// requirePeersOf checks that the acceptor has had no peers but the dialer, once for each dial of its
// address: one that was late and repeated may have made a peer at the acceptor's end.
func requirePeersOf(t *testing.T, acceptor endpoint, dialer *node) {
	t.Helper()
	up := acceptor.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp })
	require.NotEmpty(t, up)
	require.LessOrEqual(t, len(up), 1+repeatsBetween(dialer.ID(), acceptor.ID()))
	for _, e := range up {
		require.Equal(t, dialer.ID(), e.Peer)
	}
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
		awaitConnected(t, ours, again)
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

		exchange(t, bystander, gno, fewSizes)
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
		requireStillConnected(t, bystander, bystander)
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
