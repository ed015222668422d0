package interoptests

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// bridgePeers holds the configured peers of a bridge, ID@IP:port.
type bridgePeers struct {
	native, libp2p []string
	only           bool // OnlyConfigured
}

// runningBridge is a bridge with its ID, which is the same on both sides.
type runningBridge struct {
	*bridge.Bridge

	id string
}

// startBridge starts a bridge on free ports. It stops the bridge at the end of the test.
func startBridge(t *testing.T, peers bridgePeers) runningBridge {
	t.Helper()
	key := types.GenerateNodeKey()
	log := peerlog.New("bridge")
	showOnFailure(t, log)
	listen := *types.NewNetAddressFromIPPort(net.IPv4(127, 0, 0, 1), 0)
	nativePeers, errs := types.NewNetAddressFromStrings(peers.native)
	require.Empty(t, errs)
	libp2pPeers, errs := types.NewNetAddressFromStrings(peers.libp2p)
	require.Empty(t, errs)

	b, err := bridge.New(*key, bridge.Config{
		NativeListen: listen,
		Libp2pListen: listen,
		NativePeers:  nativePeers,
		Libp2pPeers:  libp2pPeers,

		OnlyConfigured:   peers.only,
		AllowDuplicateIP: true,
	}, newLogger(log))
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })

	return runningBridge{Bridge: b, id: key.ID().String()}
}

// forNative and forLibp2p return the addresses at which each kind of node dials the bridge.
func (b runningBridge) forNative() string { return netAddressString(b.NativeAddress()) }
func (b runningBridge) forLibp2p() string { return netAddressString(b.Libp2pAddress()) }

func netAddressString(addr types.NetAddress) string { return addr.String() }

// requirePresented checks that the bridge presents a node's NodeInfo unchanged, except for
// its ID and its addresses, which cannot be dialed from the other side, and for the mark by which
// another bridge knows it on the native side.
func requirePresented(t *testing.T, who endpoint, as string, shown protocol.NodeInfo) {
	t.Helper()
	want := who.NodeInfo()
	shown.Versions = slices.DeleteFunc(slices.Clone(shown.Versions), func(v string) bool { return v == "bridged v1.0.0 true" })
	want.Versions = slices.Sorted(slices.Values(want.Versions))
	slices.Sort(shown.Versions)
	require.True(t, strings.HasPrefix(shown.NetAddress, as+"@0.0.0.0:"), shown.NetAddress)
	require.Empty(t, shown.RPCAddress)
	want.NetAddress, shown.NetAddress, want.RPCAddress = "", "", ""
	require.Equal(t, want, shown)
}

// requireBridged waits until the dialer is coupled with the acceptor, which knows the
// dialer's moniker. It returns the ID under which the acceptor knows the dialer. The dialer
// knows the acceptor by the ID of the bridge.
func requireBridged(t *testing.T, b runningBridge, dialer, acceptor endpoint) string {
	t.Helper()
	dialer.AwaitUp(t, b.id, 1)
	atAcceptor := acceptor.AwaitUpAs(t, dialer.NodeInfo().Moniker, 1)
	require.False(t, atAcceptor.Outbound)
	require.NotEqual(t, dialer.ID(), atAcceptor.Peer)
	require.NotEqual(t, b.id, atAcceptor.Peer)
	// The first pair may have ended, as in startDialing.
	ctx, cancel := context.WithTimeout(t.Context(), peerlog.Patience)
	defer cancel()
	for _, ends := range []struct {
		at   endpoint
		peer string
	}{{dialer, b.id}, {acceptor, atAcceptor.Peer}, {dialer, b.id}} {
		require.True(t, ends.at.Until(ctx, hasPeer(ends.peer)), "%s has no peer %s", ends.at.Addr(), ends.peer)
	}
	atDialer := dialer.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp && e.Peer == b.id })
	last := atDialer[len(atDialer)-1] // the first pair may have had another acceptor
	require.True(t, last.Outbound)
	requirePresented(t, acceptor, b.id, *last.NodeInfo)
	requirePresented(t, dialer, atAcceptor.Peer, *atAcceptor.NodeInfo)

	return atAcceptor.Peer
}

// startDialing starts a gno peer of which the bridge is a persistent peer. The bridge must
// reach a counterpart within the 3 s that gno gives a handshake. On a busy machine that may
// take a second dial.
func startDialing(t *testing.T, b runningBridge, o legacy.Options) *legacy.Peer {
	t.Helper()
	o.AllowDuplicateIP, o.Persistent = true, []string{b.forNative()}

	return legacy.Start(t, o)
}

func TestGnoThroughBridge(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		target := startLibp2p(t, nodeOptions{moniker: "target"})
		b := startBridge(t, bridgePeers{libp2p: []string{target.Addr()}})
		gno := startDialing(t, b, legacy.Options{Version: version, Moniker: "gno"})
		id := requireBridged(t, b, gno, target)
		exchangeAs(t, gno, target, id, b.id, allSizes)
		requireStillConnected(t, gno, target)

		// The end of one coupled connection ends the other.
		target.Stop()
		gno.AwaitDown(t, b.id, 1)
	})
}

func TestLibp2pThroughBridgeToGno(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		gno := startVersion(t, version, "gno")
		b := startBridge(t, bridgePeers{native: []string{gno.Addr()}})
		// Persistent, as in startDialing.
		ours := startLibp2p(t, nodeOptions{moniker: "ours", persistent: []string{b.forLibp2p()}})
		id := requireBridged(t, b, ours, gno)
		exchangeAs(t, ours, gno, id, b.id, allSizes)
		requireStillConnected(t, ours, gno)

		gno.Kill()
		ours.AwaitDown(t, b.id, 1)
	})
}

func TestBridgeEndsWithTheDialer(t *testing.T) {
	t.Parallel()
	target, gno := startLibp2p(t, nodeOptions{moniker: "target"}), startGno(t, "gno")
	b := startBridge(t, bridgePeers{native: []string{gno.Addr()}, libp2p: []string{target.Addr()}})
	nativeDialer := startDialing(t, b, legacy.Options{Moniker: "native dialer"})
	libp2pDialer := startLibp2p(t, nodeOptions{moniker: "libp2p dialer", persistent: []string{b.forLibp2p()}})
	nativeID := requireBridged(t, b, nativeDialer, target)
	libp2pID := requireBridged(t, b, libp2pDialer, gno)

	nativeDialer.Kill()
	target.AwaitDown(t, nativeID, 1)
	exchangeAs(t, libp2pDialer, gno, libp2pID, b.id, fewSizes)
	libp2pDialer.Stop()
	gno.AwaitDown(t, libp2pID, 1)
}

func TestBridgePairsOneToOne(t *testing.T) {
	t.Parallel()
	targets := []*node{startLibp2p(t, nodeOptions{moniker: "target1"}), startLibp2p(t, nodeOptions{moniker: "target2"})}
	b := startBridge(t, bridgePeers{libp2p: []string{targets[0].Addr(), targets[1].Addr()}})
	ids := make(map[string]bool)
	for _, target := range targets {
		gno := awaitPairOf(t, b, target, legacy.Options{})
		id := requireBridged(t, b, gno, target)
		require.False(t, ids[id], "the bridge shows two nodes as %s", id)
		ids[id] = true
		exchangeAs(t, gno, target, id, b.id, fewSizes)
	}
}

// awaitPairOf returns the gno peer that the bridge has paired with the target. If none of the
// given ones is, it starts others with the options. The bridge prefers the target with the fewest pairs, but
// takes another one if that answers much earlier, or if a dial of the target took too long, as
// it may on a busy machine.
func awaitPairOf(t *testing.T, b runningBridge, target *node, o legacy.Options, dialers ...*legacy.Peer) *legacy.Peer {
	t.Helper()
	const most = 5 // at the same time
	var own []*legacy.Peer
	for begun, n := time.Now(), 0; time.Since(begun) < gnoPatience; n++ {
		for _, pair := range b.Status().Pairs {
			for _, gno := range slices.Concat(dialers, own) {
				if pair.Libp2pID == target.info.ID() && pair.NativeID.String() == gno.ID() {
					return gno
				}
			}
		}
		if len(own) == most {
			own[0].Stop()
			own = own[1:]
		}
		o.Moniker = fmt.Sprintf("gno%d for %s", n, target.info.Moniker)
		gno := startDialing(t, b, o)
		gno.AwaitUp(t, b.id, 1)
		own = append(own, gno)
	}
	require.Fail(t, "the bridge never chooses the target", target.info.Moniker)

	return nil
}

// TestBridgeAnswersDiscoveryPerSide checks that the bridge answers discovery on each side
// with peers of that side, and relays no request.
func TestBridgeAnswersDiscoveryPerSide(t *testing.T) {
	t.Parallel()
	targets := []*node{
		startLibp2p(t, nodeOptions{moniker: "target1", discovery: true}),
		startLibp2p(t, nodeOptions{moniker: "target2", discovery: true}),
	}
	b := startBridge(t, bridgePeers{libp2p: []string{targets[0].Addr(), targets[1].Addr()}, only: true})
	first := startDialing(t, b, legacy.Options{Moniker: "first", Discovery: true})
	first.AwaitUp(t, b.id, 1)

	// A native node asks the peers that it has dialed. The bridge names the other native
	// node, which the first then dials.
	second := startDialing(t, b, legacy.Options{Moniker: "second", Discovery: true})
	ctx, cancel := context.WithTimeout(t.Context(), peerlog.Patience)
	defer cancel()
	require.True(t, second.Until(ctx, isTold(b.id, first.Addr())), "the bridge does not name %s", first.Addr())
	requireToldNoMore(t, second, b.id, first.Addr())
	second.AwaitUp(t, first.ID(), 1)

	for i, target := range targets {
		gno := awaitPairOf(t, b, target, legacy.Options{Discovery: true}, first, second)
		peer := askForPeers(t, target, gno.NodeInfo().Moniker, targets[1-i].Addr())
		requireToldNoMore(t, target, peer, targets[1-i].Addr())
	}

	// Each side has received answers, so a relayed request would have arrived before.
	request := func(e protocol.Event) bool { return e.Event == protocol.EventDiscovery && e.Request }
	for _, target := range targets {
		require.Empty(t, target.Events(request))
	}
	for _, gno := range []*legacy.Peer{first, second} {
		require.NotContains(t, requesters(gno.Events(request)), b.id)
	}
}

// askForPeers makes the node ask its peer with the moniker until that names the address, and returns the ID of the peer.
// A late pair may end just before it is asked, or before it answers.
func askForPeers(t *testing.T, at *node, moniker, addr string) string {
	t.Helper()
	at.AwaitUpAs(t, moniker, 1)
	for range attempts {
		up := at.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp && e.NodeInfo.Moniker == moniker })
		peer := up[len(up)-1].Peer
		ctx, cancel := context.WithTimeout(t.Context(), dialTime)
		told := at.Until(ctx, hasPeer(peer)) && at.sendOne(peer, discoveryChannel, wire.AppendRequest(nil)) == nil &&
			at.Until(ctx, isTold(peer, addr))
		cancel()
		if told {
			return peer
		}
		t.Logf("%s has no answer of %s, known as %s", at.Addr(), moniker, peer)
	}
	require.Fail(t, "no answer names the address", "%s of %s", addr, moniker)

	return ""
}

// isTold returns whether an answer of the peer names the address.
func isTold(peer, addr string) func([]protocol.Event) bool {
	return func(events []protocol.Event) bool {
		return slices.ContainsFunc(events, func(e protocol.Event) bool { return isAnswer(e, peer) && slices.Contains(e.Addrs, addr) })
	}
}

func isAnswer(e protocol.Event, peer string) bool {
	return e.Event == protocol.EventDiscovery && !e.Request && e.Peer == peer
}

// requireToldNoMore checks that the answers of the peer name no other address.
func requireToldNoMore(t *testing.T, at endpoint, peer, addr string) {
	t.Helper()
	for _, e := range at.Events(func(e protocol.Event) bool { return isAnswer(e, peer) }) {
		require.Subset(t, []string{addr}, e.Addrs)
	}
}

// awaitAnswer waits for a discovery response of the peer.
func awaitAnswer(t *testing.T, at interface {
	Await(t testing.TB, what string, n int, match func(protocol.Event) bool) []protocol.Event
}, peer string,
) protocol.Event {
	t.Helper()

	return at.Await(t, "discovery answer", 1, func(e protocol.Event) bool {
		return isAnswer(e, peer)
	})[0]
}

func requesters(requests []protocol.Event) []string {
	ids := make([]string, 0, len(requests))
	for _, e := range requests {
		ids = append(ids, e.Peer)
	}

	return ids
}
