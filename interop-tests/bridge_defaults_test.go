package interoptests

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// A real gno node and four native nodes of ours share two libp2p nodes through one bridge, each
// at a public IP, with nothing set on any of them.
func TestBridgeAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	var libp2pPeers []*types.NetAddress
	var targets []*node
	for i := range 2 {
		n := startLibp2p(t, nodeOptions{moniker: fmt.Sprint("target", i), ip: fmt.Sprintf("52.%d.0.1", i)})
		targets, libp2pPeers = append(targets, n), append(libp2pPeers, n.info.NetAddress)
	}
	key, log, ip := types.GenerateNodeKey(), peerlog.New("bridge"), net.ParseIP("60.0.0.1")
	showOnFailure(t, log)
	b, err := bridge.New(*key, bridge.Config{
		NativeListen: types.NetAddress{IP: ip}, Libp2pListen: types.NetAddress{IP: ip},
		Libp2pPeers: libp2pPeers, Sockets: stacktest.SocketsFrom{IP: ip},
	}, newLogger(log))
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	running := runningBridge{Bridge: b, id: key.ID().String()}

	// Its connections come from the IP that it dials, which only the bridge has otherwise.
	gno := legacy.Start(t, legacy.Options{Moniker: "gno", Listen: "51.100.0.1:0", Persistent: []string{running.forNative()}})
	gno.AwaitUp(t, running.id, 1)
	awaitSettled(t, b, 1)
	for i := range 4 {
		n := startNative(t, nodeOptions{
			moniker: fmt.Sprint("native", i), ip: fmt.Sprintf("51.%d.0.1", i), persistent: []string{running.forNative()},
		})
		n.AwaitUp(t, running.id, 1)
		awaitSettled(t, b, 2+i)
	}
	// On a busy machine a dial may fail, or lose to a later one, which sends the node to the other target.
	counters := b.Status().Counters
	slack := -int(counters.PairsOpened)
	for _, c := range counters.Dials {
		if c.Side == bridge.InitiatorLibp2p {
			slack += int(c.Count)
		}
	}
	require.Eventually(t, func() bool {
		return targets[0].sw.Peers().NumInbound()+targets[1].sw.Peers().NumInbound() == 5
	}, time.Minute, time.Millisecond, "each node has a pair")
	for _, target := range targets {
		require.InDelta(t, 2.5, target.sw.Peers().NumInbound(), 0.5+float64(slack), "the targets share the nodes")
	}
	for _, pair := range b.Status().Pairs {
		if pair.NativeID.String() != gno.ID() {
			continue
		}
		for _, target := range targets {
			if target.info.ID() == pair.Libp2pID {
				id := requireBridged(t, running, gno, target)
				exchangeAs(t, gno, target, id, running.id, fewSizes)
				requireStillConnected(t, gno, target)
			}
		}
	}
}

// awaitSettled waits until the bridge has as many pairs, and no libp2p target has a penalty or is dialed
// beside them, after which all are chosen alike.
func awaitSettled(t *testing.T, b *bridge.Bridge, pairs int) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, inUse := b.Status(), 0
		for _, target := range s.Targets {
			if target.Side == bridge.InitiatorLibp2p && !target.NextTry.IsZero() {
				return false
			}
			inUse += target.Pairs
		}

		return len(s.Pairs) == pairs && inUse == pairs
	}, 2*time.Minute, 5*time.Millisecond, "%d pairs", pairs)
}
