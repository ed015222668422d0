package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// withDHT makes a node find others through the seeds, and be found.
func withDHT(t *testing.T, seeds ...*node) func(transport) adapter.SwitchOption {
	return func(tr transport) adapter.SwitchOption {
		d, err := discovery.New(tr.(*lp2p.Transport),
			discovery.WithBootstrapPeers(addresses(seeds...)), discovery.WithWalkInterval(100*time.Millisecond))
		require.NoError(t, err)

		return adapter.WithReactor("dht", d)
	}
}

// useful is how many targets of use the DHT has found.
func (b *Bridge) useful() uint64 {
	taken, _ := dhtClient{b}.OutboundSlots()

	return taken
}

// A native node whose libp2p node has gone gets one that was found in the DHT.
func TestNodeOfTheDHTTakesOver(t *testing.T) {
	own := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t))
	found := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t, own))
	native := newNode(t, InitiatorNative)
	next(t, own.added) // they have found each other
	next(t, found.added)

	config := Config{Libp2pPeers: addresses(own), Libp2pNetwork: "bridged"}
	b := newBridgeWith(t, config, func(b *Bridge) {
		b.dhtOptions = []discovery.Option{discovery.WithWalkInterval(100 * time.Millisecond)}
	})
	require.Eventually(t, func() bool { return b.useful() == 1 }, testTimeout, 10*time.Millisecond)
	require.True(t, dhtClient{b}.HasPeer(own.address.ID), "a configured node needs no search")
	require.False(t, dhtClient{b}.HasPeer(found.address.ID))

	native.join(t, b.NativeAddress())
	own.nextNative(t)
	own.stop()
	next(t, native.removed)
	native.join(t, b.NativeAddress())
	found.nextNative(t)
	exchange(t, native, found)
}

// A configured libp2p node that has moved is found in the DHT.
func TestTargetThatHasMovedIsFound(t *testing.T) {
	key := types.GenerateNodeKey()
	other := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t))
	own := startNode(t, InitiatorLibp2p, key, nil, withDHT(t, other))
	next(t, other.added)
	next(t, own.added)
	b := newBridge(t, Config{Libp2pPeers: addresses(own, other), Libp2pNetwork: "bridged"})
	met := func() bool { return b.libp2p.Load().AddrBook().Key(key.ID()) != nil }
	require.Eventually(t, met, testTimeout, 10*time.Millisecond)

	own.stop()
	next(t, other.removed)
	moved := startNode(t, InitiatorLibp2p, key, nil, withDHT(t, other))
	require.NotEqual(t, own.address.Port, moved.address.Port)
	next(t, other.added)
	next(t, moved.added)
	first := newNode(t, InitiatorNative)
	first.join(t, b.NativeAddress())
	if nextNativeOf(t, moved, other) == moved {
		exchange(t, first, moved) // it was found before it was missed

		return
	}
	// By now it was missed, unless it was found while its former address was dialed.
	serving := func() bool { return dhtClient{b}.HasPeer(key.ID()) }
	require.Eventually(t, serving, testTimeout, 10*time.Millisecond)

	second := newNode(t, InitiatorNative)
	second.join(t, b.NativeAddress())
	moved.nextNative(t)
	exchange(t, second, moved)
}

// When a target that was found in the DHT turns out to be of no use, more are looked for
// at once, though there were enough of them.
func TestTargetOfNoUseSetsTheSearchGoing(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	ts, woken := b.libp2pTargets, 0
	dhtClient{b}.DialPeers(dialable(1), dialable(2))
	require.EqualValues(t, 2, b.useful())
	ts.release(ts.pick(the("node"), nil), unreachable) // there is no DHT
	ts.lost = func() { woken++ }
	ts.release(ts.pick(the("node"), nil), kept)
	require.Zero(t, woken)
	ts.release(ts.pick(the("node"), nil), unreachable)
	require.Equal(t, 1, woken)
}

func TestDHTNeedsAUsableNetwork(t *testing.T) {
	for _, config := range []Config{
		{Libp2pNetwork: strings.Repeat("x", 128+1)},
		{Libp2pNetwork: "n", OnlyConfigured: true},
	} {
		_, err := New(*types.GenerateNodeKey(), config, quiet())
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, "Libp2pNetwork")
	}
	// The longest name that is valid is one for discovery, too.
	newBridge(t, Config{Libp2pNetwork: strings.Repeat("x", 128)})
}
