package dropin

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

const (
	bulk     = 64      // messages that a channel of a pair holds
	bulkSize = 8 << 10 // bytes of each, so that one of them is below and all are above what a rate lets through at once
	// tooLarge is the size of a message for which the smallest buffer has no room, and the default
	// one has.
	tooLarge = 9 << 20
)

// ofConnections shows that a change reaches the native connections of a built switch and, if effect
// is given, what it does to one with a native node. A libp2p node says that it has no effect.
func ofConnections(
	change func(*gnoconfig.P2PConfig), effect func(t *testing.T, s stack, change func(*gnoconfig.P2PConfig)),
) func(*testing.T, stack) {
	return func(t *testing.T, s stack) {
		cfg := loopbackConfig()
		require.Empty(t, warnings(t, s, cfg))
		change(cfg)
		if s.name == "libp2p" {
			require.Equal(t, 1, strings.Count(warnings(t, s, cfg), " has no effect over libp2p"))

			return
		}
		require.Empty(t, warnings(t, s, cfg))
		requireNativeLimits(t, s, cfg)
		if effect != nil {
			effect(t, s, change)
		}
	}
}

// requireNativeLimits shows that the switch that is built gives its native connections what the
// config says. A program cannot ask for it, so the test looks into the transport.
func requireNativeLimits(t *testing.T, s stack, cfg *gnoconfig.P2PConfig) {
	t.Helper()
	ours := FromP2PConfig(*cfg)
	want := ours.MConnConfig()
	require.NotEqual(t, mconn.DefaultMConnConfig(), want)
	sw := newSwitchWith(t, s, cfg, nil)
	stack := reflect.ValueOf(sw.transport)
	if _, both := sw.transport.(*dual.Transport); both {
		stack = stack.Elem().FieldByName("native")
	}
	require.True(t, stack.Elem().FieldByName("mConfig").Equal(reflect.ValueOf(want)))
}

// onEachLink runs a test with a node of each stack alone with which a node of the stack has a link.
func onEachLink(t *testing.T, s stack, test func(t *testing.T, other stack)) {
	t.Helper()
	for _, other := range stacks()[:2] {
		if s.name == "dual" || s.name == other.name {
			t.Run("with "+other.name, func(t *testing.T) { test(t, other) })
		}
	}
}

// changed is a config of the first node of a pair.
func changed(changes ...func(*gnoconfig.P2PConfig)) func(*gnoconfig.P2PConfig, string) {
	return func(cfg *gnoconfig.P2PConfig, at string) {
		persistent(cfg, at)
		for _, change := range changes {
			change(cfg)
		}
	}
}

func largerPackets(cfg *gnoconfig.P2PConfig) { cfg.MaxPacketMsgPayloadSize *= 2 }

func atFullSpeed(cfg *gnoconfig.P2PConfig) { cfg.SendRate, cfg.RecvRate = 0, 0 }

// requireLargerPackets shows that the node sends packets that one with the default does not take.
func requireLargerPackets(t *testing.T, s stack, change func(*gnoconfig.P2PConfig)) {
	t.Helper()
	requireDroppedForPackets(t, newPairOf(t, s, stacks()[0], changed(change), unchanged))
}

func requireDroppedForPackets(t *testing.T, p *pair) {
	t.Helper()
	a := await(t, p.a.added)
	b := await(t, p.b.added)
	require.True(t, a.Send(testChannel, make([]byte, 2*gnoconfig.DefaultP2PConfig().MaxPacketMsgPayloadSize)))
	require.Equal(t, b, await(t, p.b.removed))
	require.Empty(t, p.b.received)
}

// requireNoRoom shows that the node drops a peer for a message that one with the default takes.
func requireNoRoom(t *testing.T, s stack, change func(*gnoconfig.P2PConfig)) {
	t.Helper()
	sentTo := func(change func(*gnoconfig.P2PConfig)) *pair {
		p := newPairOf(t, s, stacks()[0], changed(atFullSpeed, change), atFullSpeed)
		require.True(t, await(t, p.b.added).Send(testChannel, make([]byte, tooLarge)))

		return p
	}
	require.Len(t, await(t, sentTo(unchanged).a.received).msg, tooLarge)
	require.ErrorIs(t, sentTo(change).awaitEnd(t), mconn.ErrRecvBudget)
}

// requireNotSent shows that the node does not send a message that one with the default sends.
func requireNotSent(t *testing.T, s stack, change func(*gnoconfig.P2PConfig)) {
	t.Helper()
	sentBy := func(change func(*gnoconfig.P2PConfig)) bool {
		p := newPairOf(t, s, stacks()[0], changed(atFullSpeed, change), atFullSpeed)

		return await(t, p.a.added).Send(testChannel, make([]byte, tooLarge))
	}
	require.True(t, sentBy(unchanged))
	require.False(t, sentBy(change))
}

// awaitEnd returns why the first link of the node has ended.
func (p *pair) awaitEnd(t *testing.T) error {
	t.Helper()
	for {
		if e, ended := await(t, p.events).(events.PeerDisconnectedEvent); ended {
			return e.Reason
		}
	}
}

// stalls shows that a rate holds on each kind of link of the switch: sent or received, messages stop
// on their way, while as many pass the other way.
func stalls(slow func(*gnoconfig.P2PConfig), sent bool) func(*testing.T, stack) {
	return func(t *testing.T, s stack) {
		cfg := loopbackConfig()
		slow(cfg)
		require.Empty(t, warnings(t, s, cfg))
		onEachLink(t, s, func(t *testing.T, other stack) {
			p := newPairOf(t, s, other, changed(slow), unchanged)
			atA, atB := await(t, p.a.added), await(t, p.b.added)
			if sent {
				requireStalls(t, atA, p.b, atB, p.a)
			} else {
				requireStalls(t, atB, p.a, atA, p.b)
			}
		})
	}
}

// requireStalls sends messages by slow to its receiver and, once the first has come, by fast to its
// own eight times as many bytes. These come in all, and those do not.
func requireStalls(t *testing.T, slow p2p.PeerConn, to *gnoRecorder, fast p2p.PeerConn, back *gnoRecorder) {
	t.Helper()
	for range bulk {
		require.True(t, slow.TrySend(testChannel, make([]byte, bulkSize)))
	}
	await(t, to.received) // a rate lets so much through at once
	large := make([]byte, 4*bulkSize)
	for range 2 {
		for range bulk {
			require.True(t, fast.Send(testChannel, large))
		}
		for range bulk {
			await(t, back.received)
		}
	}
	require.Less(t, len(to.received), bulk-1)
	require.True(t, slow.IsRunning())
	require.True(t, fast.IsRunning())
}

// givesUpMessages shows that a peer whose message does not become complete is dropped in time.
func givesUpMessages(t *testing.T, s stack) {
	const timeout = 7 * time.Millisecond
	inTime := func(cfg *gnoconfig.P2PConfig) { cfg.RecvAssemblyTimeout = timeout }
	onEachLink(t, s, func(t *testing.T, other stack) {
		p := newPairOf(t, s, other, changed(inTime), func(cfg *gnoconfig.P2PConfig) { cfg.SendRate = 1 })
		require.True(t, await(t, p.b.added).Send(testChannel, make([]byte, bulk*bulkSize)))
		if err := p.awaitEnd(t); other.name == "native" {
			require.ErrorIs(t, err, mconn.ErrAssemblyTimeout)
		} else {
			require.ErrorContains(t, err, "not complete after "+timeout.String())
		}
	})
	cfg := loopbackConfig()
	inTime(cfg)
	require.Empty(t, warnings(t, s, cfg))
	if s.name != "libp2p" {
		requireNativeLimits(t, s, cfg) // those 30 s by default are also a time in which it is dropped
	}
	if s.name != "native" {
		cfg.RecvAssemblyTimeout = 0
		require.Contains(t, warnings(t, s, cfg), "[p2p].recv_assembly_timeout = 0 means a default over libp2p")
	}
}
