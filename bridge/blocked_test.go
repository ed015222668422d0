package bridge

import (
	"bytes"
	"fmt"
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
	begun, late := time.Now(), 0
	for range 3 {
		n := newNode(t, InitiatorLibp2p)
		n.refused(t, b)
		late += n.late
	}
	require.NoError(t, b.Stop())
	refusals := sum(b.Status().Counters.Refusals, func(Count) bool { return true })
	require.GreaterOrEqual(t, refusals, 3)
	minutes := 1 + int(time.Since(begun)/time.Minute)
	requireSummedUp(t, log.String(), "libp2p peer refused", refusals, 2*minutes+late)
	if minutes == 1 && late == 0 {
		require.Contains(t, log.String(), "more_times=2 reason=unavailable")
	}
}

// requireSummedUp requires that lines with the message tell of as many events, and that there are at most
// so many of these lines.
func requireSummedUp(t *testing.T, log, msg string, events, most int) {
	t.Helper()
	lines, told := 0, 0
	for line := range strings.Lines(log) {
		if !strings.Contains(line, msg) {
			continue
		}
		lines, told = lines+1, told+1
		if _, more, summary := strings.Cut(line, "more_times="); summary {
			var n int
			_, err := fmt.Sscan(more, &n)
			require.NoError(t, err, line)
			told += n - 1
		}
	}
	require.Equal(t, events, told, log)
	require.LessOrEqual(t, lines, most, log)
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
	late := b.Status().Counters.PairsEnded
	require.NoError(t, b.Block(libp2p.address.ID))
	next(t, native.removed)
	require.Eventually(t, func() bool { return len(b.Status().Counters.PairsEnded) == len(late)+1 }, testTimeout, time.Millisecond)
	s := b.Status()
	require.ElementsMatch(t, append(late, Count{Side: byBlock, Count: 1}), s.Counters.PairsEnded)
	require.Equal(t, TargetBlocked, s.Targets[0].State)
	require.True(t, s.Targets[0].Configured)
	require.Empty(t, s.Flapping)
}
