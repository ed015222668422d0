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

// A legacy node whose libp2p node has gone gets one that was found in the DHT.
func TestNodeOfTheDHTTakesOver(t *testing.T) {
	own := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t))
	found := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t, own))
	legacy := newNode(t, InitiatorLegacy)
	next(t, own.added) // they have found each other
	next(t, found.added)

	config := Config{Libp2pPeers: addresses(own), Libp2pNetwork: "bridged"}
	b := newBridgeWith(t, config, func(b *Bridge) {
		b.dhtOptions = []discovery.Option{discovery.WithWalkInterval(100 * time.Millisecond)}
	})
	require.Eventually(t, func() bool { return b.libp2pTargets.countLearned() == 1 }, testTimeout, 10*time.Millisecond)
	require.True(t, (&seeker{b}).Peers().Has(own.address.ID), "who is configured is not sought")
	require.False(t, (&seeker{b}).Peers().Has(found.address.ID))

	legacy.dial(b.LegacyAddress())
	next(t, legacy.added)
	next(t, own.added)
	own.stop()
	next(t, legacy.removed)
	legacy.dial(b.LegacyAddress())
	next(t, legacy.added)
	require.Equal(t, InitiatorLegacy, next(t, found.added).NodeInfo().Moniker)
	exchange(t, legacy, found)
}

// A configured libp2p node that has moved is found in the DHT.
func TestTargetThatHasMovedIsFound(t *testing.T) {
	key := types.GenerateNodeKey()
	other := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t))
	own := startNode(t, InitiatorLibp2p, key, nil, withDHT(t, other))
	next(t, other.added)
	next(t, own.added)
	b := newBridge(t, Config{Libp2pPeers: addresses(own, other), Libp2pNetwork: "bridged"})
	met := func() bool { _, known := b.libp2pSide().PeerID(key.ID()); return known }
	require.Eventually(t, met, testTimeout, 10*time.Millisecond)

	own.stop()
	next(t, other.removed)
	moved := startNode(t, InitiatorLibp2p, key, nil, withDHT(t, other))
	require.NotEqual(t, own.address.Port, moved.address.Port)
	next(t, other.added)
	next(t, moved.added)
	first := newNode(t, InitiatorLegacy)
	first.dial(b.LegacyAddress())
	next(t, first.added)
	require.False(t, b.libp2pTargets.isServing(key.ID()))
	serving := func() bool { return b.libp2pTargets.isServing(key.ID()) }
	require.Eventually(t, serving, testTimeout, 10*time.Millisecond)

	second := newNode(t, InitiatorLegacy)
	second.dial(b.LegacyAddress())
	next(t, second.added)
	require.Equal(t, InitiatorLegacy, next(t, moved.added).NodeInfo().Moniker)
	exchange(t, second, moved)
}

func TestDHTNeedsAUsableNetwork(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{
		LegacyListen: loopback(), Libp2pListen: loopback(), Libp2pNetwork: strings.Repeat("x", 1000),
	}, quiet())
	require.NoError(t, err)
	require.ErrorContains(t, b.Start(), "DHT")

	_, err = New(*types.GenerateNodeKey(), Config{Libp2pNetwork: "n", OnlyConfigured: true}, quiet())
	require.ErrorIs(t, err, ErrInvalidConfig)
	require.ErrorContains(t, err, "Libp2pNetwork")
}
