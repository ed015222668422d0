package lp2p

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/crosstest"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Both sessions may share one libp2p connection, which must outlive the one that
// does not stay.
func TestThousandCrossedDials(t *testing.T) {
	crosstest.Run(t, crosstest.Options{Pairs: 10, Rounds: 100, NewTransport: func(t *testing.T) compat.Transport {
		key := types.GenerateNodeKey()
		info := nodeInfo(key.ID())
		info.Channels = []byte{crosstest.Channel}
		tr, err := NewTransport(info, *key, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, tr.Close()) })
		require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))

		return tr
	}})
}
