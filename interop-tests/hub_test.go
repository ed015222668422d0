package interoptests

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// TestSwitchWithTwentyPeers runs a switch with 20 peers, five of each version and five of
// ours. It dials half of them.
func TestSwitchWithTwentyPeers(t *testing.T) {
	t.Parallel()
	const ofEachKind = 5
	hub := startNative(t, nodeOptions{moniker: "hub", maxPeers: 20})
	var peers []endpoint
	for i := range ofEachKind {
		for _, version := range legacy.Versions() {
			peers = append(peers, startVersion(t, version, fmt.Sprintf("gno %s %d", version, i)))
		}
		peers = append(peers, startNative(t, nodeOptions{moniker: fmt.Sprintf("ours%d", i)}))
	}
	for i, peer := range peers {
		if i%2 == 0 {
			hub.Dial(peer.Addr())
		} else {
			peer.Dial(hub.Addr())
		}
	}
	for i, peer := range peers {
		if i%2 == 0 {
			requireConnected(t, hub, peer)
		} else {
			requireConnected(t, peer, hub)
		}
	}

	const count, size = 20, 700
	numbered := on(channels, batch{size, count})
	var checks []func(*testing.T)
	for _, peer := range peers {
		checks = append(checks,
			send(hub, peer, hub.ID(), peer.ID(), numbered),
			send(peer, hub, peer.ID(), hub.ID(), numbered))
	}
	for _, check := range checks {
		check(t)
	}

	const seed = 11
	hub.Send(protocol.AllPeers, 0x30, size, 1, seed)
	for _, peer := range peers {
		got := peer.AwaitReceived(t, hub.ID(), 0x30, count+1)
		require.Equal(t, protocol.DigestOf(protocol.Payload(seed, 0, size)), got[count])
		requireNoneLost(t, hub, peer)
	}
}
