package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// exchange sends numbered messages of several sizes on two channels and checks
// that each channel delivers them in order.
func exchange(t *testing.T, from, to *node) {
	t.Helper()
	peers := from.sw.Peers().List()
	require.Len(t, peers, 1)
	sizes := []int{1, 1023, 1024, 1025, 100_000}
	want := map[byte][]string{}
	for i, size := range sizes {
		for _, ch := range []byte{chVotes, chTxs} {
			msg := fmt.Sprintf("%d/%s", i, strings.Repeat("x", size))
			require.True(t, peers[0].Send(ch, []byte(msg)))
			want[ch] = append(want[ch], msg)
		}
	}
	got := map[byte][]string{}
	for range 2 * len(sizes) {
		m := next(t, to.messages)
		got[m.ch] = append(got[m.ch], m.data)
	}
	require.Equal(t, want, got)
}

func TestLegacyNodeDialsTheBridge(t *testing.T) {
	legacy, modern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	legacy.dial(b.LegacyAddress())

	seenByLegacy, seenByModern := next(t, legacy.added), next(t, modern.added)
	require.Equal(t, b.LegacyAddress().ID, seenByLegacy.ID())
	require.Equal(t, InitiatorLibp2p, seenByLegacy.NodeInfo().Moniker, "the far node's NodeInfo is shown")
	require.True(t, seenByLegacy.NodeInfo().NetAddress.IP.IsUnspecified())
	key, err := deriveIdentity(b.key.PrivKey, legacy.address.ID)
	require.NoError(t, err)
	require.Equal(t, keyID(key), seenByModern.ID())
	require.Equal(t, InitiatorLegacy, seenByModern.NodeInfo().Moniker)

	exchange(t, legacy, modern)
	exchange(t, modern, legacy)

	status := b.Status()
	require.Len(t, status.Pairs, 1)
	require.Equal(t, legacy.address.ID, status.Pairs[0].LegacyID)
	require.Equal(t, modern.address.ID, status.Pairs[0].Libp2pID)
	require.Equal(t, InitiatorLegacy, status.Pairs[0].Initiator)
	require.EqualValues(t, 10, status.ToLibp2p.Messages)
	require.EqualValues(t, 10, status.ToLegacy.Messages)
}

func TestLibp2pNodeDialsTheBridge(t *testing.T) {
	legacy, modern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{LegacyPeers: addresses(legacy)})
	modern.dial(b.Libp2pAddress())

	require.Equal(t, InitiatorLegacy, next(t, modern.added).NodeInfo().Moniker)
	require.Equal(t, InitiatorLibp2p, next(t, legacy.added).NodeInfo().Moniker)
	exchange(t, legacy, modern)
	exchange(t, modern, legacy)
	require.Equal(t, InitiatorLibp2p, b.Status().Pairs[0].Initiator)
}

func TestPairIsCoupled(t *testing.T) {
	for _, ends := range []string{InitiatorLegacy, InitiatorLibp2p} {
		t.Run(ends, func(t *testing.T) {
			legacy, modern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
			b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
			legacy.dial(b.LegacyAddress())
			next(t, legacy.added)
			next(t, modern.added)

			first, second := legacy, modern
			if ends == InitiatorLibp2p {
				first, second = modern, legacy
			}
			peer := first.sw.Peers().List()[0]
			// What was accepted before the end still arrives.
			for i := range 50 {
				require.True(t, peer.Send(chTxs, []byte(fmt.Sprint(i))))
			}
			peer.FlushStop()
			for i := range 50 {
				require.Equal(t, fmt.Sprint(i), next(t, second.messages).data)
			}
			next(t, second.removed)
			next(t, first.removed)
		})
	}
}

func TestStoppedBridgeEndsAllPairs(t *testing.T) {
	legacy, modern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	legacy.dial(b.LegacyAddress())
	next(t, legacy.added)
	next(t, modern.added)

	require.NoError(t, b.Stop())
	next(t, legacy.removed)
	next(t, modern.removed)
	require.Empty(t, b.Status().Pairs)
}

func TestPairsSpreadOverTargets(t *testing.T) {
	moderns := []*node{newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)}
	b := newBridge(t, Config{Libp2pPeers: addresses(moderns...)})
	for range moderns {
		legacy := newNode(t, InitiatorLegacy)
		legacy.dial(b.LegacyAddress())
		next(t, legacy.added)
	}
	for _, m := range moderns {
		next(t, m.added)
		require.Len(t, m.sw.Peers().List(), 1)
	}
}

func TestUnreachableTargetIsPassedOver(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	dead := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 1}
	b := newBridge(t, Config{Libp2pPeers: append(addresses(), &dead, &modern.address)})
	legacy := newNode(t, InitiatorLegacy)
	legacy.dial(b.LegacyAddress())
	next(t, legacy.added)
	next(t, modern.added)
}

func TestNobodyToPairWith(t *testing.T) {
	b := newBridge(t, Config{})
	for _, stack := range []string{InitiatorLegacy, InitiatorLibp2p} {
		n := newNode(t, stack)
		failed, done := n.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
		defer done()
		if stack == InitiatorLegacy {
			n.dial(b.LegacyAddress())
			next(t, failed)

			continue
		}
		n.dial(b.Libp2pAddress())
		e := next(t, failed).(events.DialFailedEvent)
		require.ErrorContains(t, e.Reason, errNoTargets.Error(), "a libp2p node learns why")
	}
}

// A node behind one bridge is not passed on by another.
func TestDelegatedPeerIsNotBridgedAgain(t *testing.T) {
	far := newNode(t, InitiatorLegacy)
	second := newBridge(t, Config{LegacyPeers: addresses(far)})
	addr := second.Libp2pAddress()
	first := newBridge(t, Config{Libp2pPeers: append(addresses(), &addr)})
	legacy := newNode(t, InitiatorLegacy)
	failed, done := legacy.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()

	legacy.dial(first.LegacyAddress())
	next(t, failed)
	require.Empty(t, first.Status().Pairs)
	require.Empty(t, second.Status().Pairs)
}

func TestOtherNetworkIsNotPaired(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p, 0x77)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	legacy := newNode(t, InitiatorLegacy)
	failed, done := legacy.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	legacy.dial(b.LegacyAddress())
	next(t, failed)
	require.Empty(t, b.Status().Pairs)
}

func TestDiscoveryIsAnsweredPerSide(t *testing.T) {
	channels := []byte{chVotes, discoveryChannel}
	otherLegacy, otherModern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
	legacy := newNode(t, InitiatorLegacy, channels...)
	modern := newNode(t, InitiatorLibp2p, channels...)
	b := newBridge(t, Config{
		LegacyPeers: addresses(otherLegacy),
		Libp2pPeers: addresses(modern, otherModern),
		// The bridge asks nobody on its own account.
		OnlyConfigured: true,
	})
	legacy.dial(b.LegacyAddress())
	next(t, legacy.added)
	next(t, modern.added)

	for _, c := range []struct{ asks, knows *node }{{legacy, otherLegacy}, {modern, otherModern}} {
		require.True(t, c.asks.sw.Peers().List()[0].Send(discoveryChannel, wire.AppendRequest(nil)))
		answer := next(t, c.asks.messages)
		require.Equal(t, discoveryChannel, int(answer.ch))
		addrs, request, err := wire.DecodeDiscovery([]byte(answer.data))
		require.NoError(t, err)
		require.False(t, request)
		require.Equal(t, []string{c.knows.address.String()}, addrs)
	}
	require.Empty(t, legacy.messages, "nothing of it crossed")
	require.Empty(t, modern.messages)
}
