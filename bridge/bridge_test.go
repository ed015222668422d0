package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

func TestNativeNodeDialsTheBridge(t *testing.T) {
	native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	seenByNative := native.join(t, b.NativeAddress())
	seenByModern := modern.met(t)
	require.Equal(t, b.NativeAddress().ID, seenByNative.ID())
	require.Equal(t, InitiatorLibp2p, seenByNative.NodeInfo().Moniker, "the far node's NodeInfo is shown")
	require.True(t, seenByNative.NodeInfo().NetAddress.IP.IsUnspecified())
	key, err := deriveIdentity(b.key.PrivKey, native.address.ID)
	require.NoError(t, err)
	require.Equal(t, key.ID(), seenByModern.ID())
	require.Equal(t, InitiatorNative, seenByModern.NodeInfo().Moniker)

	exchange(t, native, modern)
	exchange(t, modern, native)

	require.Eventually(t, func() bool { // it counts a message when it was sent, which may have arrived before
		s := b.Status()

		return s.ToLibp2p.Messages == 10 && s.ToNative.Messages == 10
	}, testTimeout, time.Millisecond)
	status := b.Status()
	require.Len(t, status.Pairs, 1)
	require.Equal(t, native.address.ID, status.Pairs[0].NativeID)
	require.Equal(t, modern.address.ID, status.Pairs[0].Libp2pID)
	require.Equal(t, InitiatorNative, status.Pairs[0].Initiator)
}

func TestLibp2pNodeDialsTheBridge(t *testing.T) {
	native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{NativePeers: addresses(native)})
	require.Equal(t, InitiatorNative, modern.join(t, b.Libp2pAddress()).NodeInfo().Moniker)
	require.Equal(t, InitiatorLibp2p, native.met(t).NodeInfo().Moniker)
	exchange(t, native, modern)
	exchange(t, modern, native)
	require.Equal(t, InitiatorLibp2p, b.Status().Pairs[0].Initiator)
}

func TestPairIsCoupled(t *testing.T) {
	for _, ends := range []string{InitiatorNative, InitiatorLibp2p} {
		t.Run(ends, func(t *testing.T) {
			native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
			b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
			native.join(t, b.NativeAddress())
			modern.met(t)

			first, second := native, modern
			if ends == InitiatorLibp2p {
				first, second = modern, native
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
	native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	native.join(t, b.NativeAddress())
	modern.met(t)

	require.NoError(t, b.Stop())
	next(t, native.removed)
	next(t, modern.removed)
	require.Empty(t, b.Status().Pairs)
}

func TestPairsSpreadOverTargets(t *testing.T) {
	moderns := []*node{newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)}
	b := newBridge(t, Config{Libp2pPeers: addresses(moderns...)})
	for range moderns {
		native := newNode(t, InitiatorNative)
		native.join(t, b.NativeAddress())
	}
	for _, m := range moderns {
		m.met(t)
		require.Len(t, m.sw.Peers().List(), 1)
	}
}

func TestUnreachableTargetIsPassedOver(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	dead := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback().IP, Port: 1}
	b := newBridge(t, Config{Libp2pPeers: append(addresses(), &dead, &modern.address)})
	native := newNode(t, InitiatorNative)
	native.join(t, b.NativeAddress())
	modern.met(t)
}

func TestNobodyToPairWith(t *testing.T) {
	b := newBridge(t, Config{})
	for _, stack := range []string{InitiatorNative, InitiatorLibp2p} {
		n := newNode(t, stack)
		failed, done := n.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
		defer done()
		if stack == InitiatorNative {
			n.dial(b.NativeAddress())
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
	far := newNode(t, InitiatorNative)
	second := newBridge(t, Config{NativePeers: addresses(far)})
	addr := second.Libp2pAddress()
	first := newBridge(t, Config{Libp2pPeers: append(addresses(), &addr)})
	native := newNode(t, InitiatorNative)
	failed, done := native.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()

	native.dial(first.NativeAddress())
	next(t, failed)
	require.Empty(t, first.Status().Pairs)
	require.Empty(t, second.Status().Pairs)
}

func TestOtherNetworkIsNotPaired(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p, 0x77)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	native := newNode(t, InitiatorNative)
	failed, done := native.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	native.dial(b.NativeAddress())
	next(t, failed)
	require.Empty(t, b.Status().Pairs)
}

func TestDiscoveryIsAnsweredPerSide(t *testing.T) {
	channels := []byte{chVotes, discoveryChannel}
	otherNative, otherModern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	native := newNode(t, InitiatorNative, channels...)
	modern := newNode(t, InitiatorLibp2p, channels...)
	b := newBridge(t, Config{
		NativePeers: addresses(otherNative),
		Libp2pPeers: addresses(modern, otherModern),
		// The bridge asks nobody on its own account.
		OnlyConfigured: true,
	})
	native.join(t, b.NativeAddress())
	modern.met(t)

	for _, c := range []struct{ asks, knows *node }{{native, otherNative}, {modern, otherModern}} {
		require.True(t, c.asks.sw.Peers().List()[0].Send(discoveryChannel, wire.AppendRequest(nil)))
		answer := next(t, c.asks.messages)
		require.Equal(t, discoveryChannel, int(answer.ch))
		addrs, request, err := wire.DecodeDiscovery([]byte(answer.data))
		require.NoError(t, err)
		require.False(t, request)
		require.Equal(t, []string{c.knows.address.String()}, addrs)
	}
	require.Empty(t, native.messages, "nothing of it crossed")
	require.Empty(t, modern.messages)
}
