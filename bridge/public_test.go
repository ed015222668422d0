package bridge

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// publicBridge starts a bridge at a public IP in which nothing is set but what config has, and that
// a search may last as long as a busy machine needs.
func publicBridge(t *testing.T, config Config) *Bridge {
	t.Helper()
	at := types.NetAddress{IP: net.ParseIP("60.0.0.1")}
	config.NativeListen, config.Libp2pListen = at, at
	config.Sockets = stacktest.SocketsFrom{IP: at.IP}
	b, err := New(*types.GenerateNodeKey(), config, nil)
	require.NoError(t, err)
	b.pairTimeout = testTimeout
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })

	return b
}

// A native node at a public IP has a counterpart by each identity of the bridge, and two native
// nodes at public IPs have tunnels to one libp2p node, which sees them where they are.
func TestIdentitiesAndTunnelsAtPublicIPs(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	key := types.GenerateNodeKey()
	targets := []*node{defaultNode(t, InitiatorLibp2p, "52.0.0.1", nil), defaultNode(t, InitiatorLibp2p, "53.0.0.1", nil)}
	b := publicBridge(t, Config{
		Libp2pPeers: addresses(targets...), Identities: 2,
		Tunnels: []tunnel.Target{{Node: types.NetAddress{ID: key.ID()}, Listen: types.NetAddress{IP: net.ParseIP("60.0.0.1")}}},
	})
	var identities []*types.NetAddress
	for _, at := range b.NativeAddresses() {
		identities = append(identities, &at)
	}
	native := defaultNode(t, InitiatorNative, "51.0.0.1", identities)
	awaitPairs(t, b, 2)
	for range 2 {
		next(t, native.added)
	}
	for _, target := range targets {
		next(t, target.added)
		require.EqualValues(t, 1, target.sw.Peers().NumInbound())
	}

	inside := tunnelNode(t, key, b)
	for _, ip := range []string{"51.1.0.1", "51.2.0.1"} {
		defaultNode(t, InitiatorNative, ip, nil).joinAtLast(t, b.TunnelAddresses()[0])
		require.Equal(t, ip, inside.met(t).RemoteIP().String())
	}
	require.Eventually(t, func() bool { return len(b.Status().Tunnels[0].Open) == 2 }, testTimeout, time.Millisecond, "those of late dials end")
}

// Strangers of the libp2p side that come and go do not bring the bridge into discredit at a native
// target with nothing set, which charges connections that end early to the bridge's IP. A known
// node still gets its pair there.
func TestStrangersDoNotDiscreditTheBridge(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	target, friend := defaultNode(t, InitiatorNative, "52.0.0.1", nil), defaultNode(t, InitiatorLibp2p, "53.0.0.1", nil)
	target.ignorePeers(t)
	b := publicBridge(t, Config{NativePeers: addresses(target), UnconditionalPeers: []types.ID{friend.address.ID}, OnlyConfigured: true})
	const (
		rounds  = 4 * conduct.MaxPoints / conduct.ConnPoints
		atOnce  = conduct.MaxPoints / conduct.ConnPoints / 2 // that the bridge risks for strangers
		fadesIn = conduct.ConnPoints * time.Second
	)
	came, refused, begun := 0, false, time.Now()
	for i := 0; i < rounds && !refused; i++ {
		stranger := defaultNode(t, InitiatorLibp2p, fmt.Sprintf("54.%d.0.1", i), nil)
		if refused = !stranger.comes(t, b.Libp2pAddress()); !refused {
			came++
			stranger.leave(t, b)
		}
		stranger.stop()
		require.LessOrEqual(t, came, atOnce+int(time.Since(begun)/fadesIn))
	}
	require.NotZero(t, came)
	require.True(t, refused || time.Since(begun) > rounds*fadesIn*3/4, "as many come as fade on a slow machine only")
	require.True(t, friend.comes(t, b.Libp2pAddress()))
}

// A flood from the network of a configured node does not keep it out of a bridge at its default
// limits: its host has places apart.
func TestConfiguredNodeGetsThroughAFloodAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	target := defaultNode(t, InitiatorLibp2p, "52.0.0.1", nil)
	target.ignorePeers(t)
	friend := defaultNode(t, InitiatorNative, "51.0.0.1", nil)
	b := publicBridge(t, Config{Libp2pPeers: addresses(target), NativePeers: addresses(friend)})
	to := b.NativeAddress()
	ips := stacktest.IPs(400, func(i int) string { return fmt.Sprintf("51.0.%d.%d", 1+i/250, 1+i%250) })
	f := stacktest.StartFlood(to.DialString(), ips, 0, func(_ int, conn net.Conn) { _, _ = conn.Write([]byte{0x22}) })
	defer f.Stop()
	require.Eventually(t, func() bool { return f.Again() > 50 }, testTimeout, time.Millisecond)
	friend.getsThrough(t, b, to, 5)
}

// A bridge whose clock is wrong is refused by every libp2p node, and says so once nodes of three
// networks have told it.
func TestBridgeHearsThatItsClockIsWrong(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for want, by := range map[string]time.Duration{"clock=fast": 6 * time.Minute, "clock=slow": -6 * time.Minute} {
		t.Run(want, func(t *testing.T) {
			var targets []*node
			for i := range 3 {
				targets = append(targets, defaultNode(t, InitiatorLibp2p, fmt.Sprintf("5%d.0.0.1", 2+i), nil))
			}
			var log stacktest.Log
			at := types.NetAddress{IP: net.ParseIP("60.0.0.1")}
			b, err := New(*types.GenerateNodeKey(), Config{
				NativeListen: at, Libp2pListen: at, Sockets: stacktest.SocketsFrom{IP: at.IP}, Libp2pPeers: addresses(targets...),
			}, slog.New(slog.NewTextHandler(&log, nil)))
			require.NoError(t, err)
			b.clock = func() time.Time { return time.Now().Add(by) }
			require.NoError(t, b.Start())
			t.Cleanup(func() { require.NoError(t, b.Stop()) })
			require.False(t, defaultNode(t, InitiatorNative, "51.0.0.1", nil).comes(t, b.NativeAddress()))
			require.Eventually(t, func() bool { return log.Count("the clock of this node is wrong") == 1 }, testTimeout, time.Millisecond)
			require.Equal(t, 1, log.Count(want), "%s", log.String())
		})
	}
}
