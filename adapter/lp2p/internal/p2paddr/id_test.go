package p2paddr

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

func TestIDsAreRememberedWithinBounds(t *testing.T) {
	const limit = 64
	somePeer := func(i int) peer.ID {
		key := make(ed25519.PublicKey, ed25519.PublicKeySize)
		binary.BigEndian.PutUint32(key, uint32(i))
		p, err := PeerIDFromPublicKey(key)
		require.NoError(t, err)

		return p
	}
	ids := NewIDs(limit)
	for i := range limit + 10 {
		p := somePeer(i)
		want, err := TM2ID(p)
		require.NoError(t, err)
		for range 2 {
			got, err := ids.Of(p)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		require.Contains(t, ids.known, p)
		require.LessOrEqual(t, len(ids.known), limit)
	}
	_, err := ids.Of("nonsense")
	require.Error(t, err)
	require.NotContains(t, ids.known, peer.ID("nonsense"))
	p := somePeer(limit)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ids.Of(p) }))
}
