package bridge

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// Blocked nodes of either side, and nodes at blocked IPs, get no pair, and are no targets.
func TestBlockedNodesGetNoPair(t *testing.T) {
	native, libp2p, target := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{
		Libp2pPeers:  addresses(libp2p, target),
		NativePeers:  addresses(newNode(t, InitiatorNative)),
		BlockedPeers: []types.ID{native.address.ID, libp2p.address.ID},
		BlockedIPs:   []netip.Prefix{netip.MustParsePrefix("127.0.9.0/24")},
	}, func(*Bridge) {})
	at := b.NativeAddress()
	require.False(t, native.comes(t, at))
	require.False(t, newNode(t, InitiatorNative).comes(t, comingFrom(t, b, net.IPv4(127, 0, 9, 2))))
	require.True(t, newNode(t, InitiatorNative).comes(t, at))
	require.Eventually(t, func() bool { return len(target.sw.Peers().List()) == 1 }, testTimeout, time.Millisecond)
	require.False(t, newNode(t, InitiatorNative).comes(t, at), "the other target is blocked")

	failed, done := libp2p.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	libp2p.dial(b.Libp2pAddress())
	require.Error(t, next(t, failed).(events.DialFailedEvent).Reason)
	require.False(t, b.mayLearn(&types.NetAddress{ID: libp2p.address.ID, IP: net.IPv4(127, 0, 0, 1), Port: 1}, netip.MustParseAddr("127.0.0.1")))
	require.False(t, b.mayLearn(&types.NetAddress{ID: native.address.ID, IP: net.IPv4(127, 0, 9, 1), Port: 1}, netip.MustParseAddr("127.0.0.1")))
	require.Equal(t, compat.RejectBanned, b.refusal(errBlocked).Code)
}

func TestBlockedNetworksAreChecked(t *testing.T) {
	for name, config := range map[string]Config{
		"BlockedPeers": {BlockedPeers: []types.ID{"nobody"}},
		"BlockedIPs":   {BlockedIPs: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}},
	} {
		_, err := New(*types.GenerateNodeKey(), config, nil)
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, name)
	}
}

// Strangers that get no pair write one line, and how many there were.
func TestRefusedNodesAreSummedUp(t *testing.T) {
	var log bytes.Buffer // read once the bridge has stopped
	b := newBridgeWith(t, Config{}, func(b *Bridge) { b.refused = summary.New(slog.New(slog.NewTextHandler(&log, nil))) })
	for range 3 {
		newNode(t, InitiatorLibp2p).refused(t, b)
	}
	require.NoError(t, b.Stop())
	require.Equal(t, 2, strings.Count(log.String(), "libp2p peer refused"), log.String())
	require.Contains(t, log.String(), "more_times=2 reason=unavailable")
}

// A configured target at a blocked IP is shown as blocked and never dialed. The log says that,
// after a reload too.
func TestTargetAtABlockedIPIsShownAsBlocked(t *testing.T) {
	var log bytes.Buffer
	config := Config{
		NativePeers: []*types.NetAddress{{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(9, 8, 7, 6), Port: 1}},
		BlockedIPs:  []netip.Prefix{netip.MustParsePrefix("9.8.7.0/24")},
	}
	require.True(t, config.Blocks(*config.NativePeers[0]))
	moved := *config.NativePeers[0]
	moved.Hostname = "moved.example"
	require.False(t, config.Blocks(moved), "it led there once")
	b, err := New(*types.GenerateNodeKey(), config, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	for round := range 2 {
		require.Equal(t, TargetBlocked, b.Status().Targets[0].State)
		require.True(t, b.Status().Targets[0].Configured)
		require.Nil(t, b.nativeTargets.pick(dialer{id: "node"}, nil))
		require.Empty(t, b.configuredPeers())
		require.Equal(t, 1+round, strings.Count(log.String(), "configured peer is no target"))
		require.NoError(t, b.Reload(config))
	}
}

// A node that is blocked while it has a pair: the target stays in the list as blocked, and the
// end counts as a block.
func TestBlockOfATargetIsCounted(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	native.join(t, b.NativeAddress())
	awaitPairs(t, b, 1)
	require.NoError(t, b.Block(libp2p.address.ID))
	next(t, native.removed)
	require.Eventually(t, func() bool { return len(b.Status().Counters.PairsEnded) == 1 }, testTimeout, time.Millisecond)
	s := b.Status()
	require.Equal(t, []Count{{Side: byBlock, Count: 1}}, s.Counters.PairsEnded)
	require.Equal(t, TargetBlocked, s.Targets[0].State)
	require.True(t, s.Targets[0].Configured)
	require.Empty(t, s.Flapping)
}
