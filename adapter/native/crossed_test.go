package native

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/crosstest"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestThousandCrossedDials(t *testing.T) {
	crosstest.Run(t, crosstest.Options{Pairs: 20, Rounds: 50, NewTransport: func(t *testing.T) compat.Transport {
		key := types.GenerateNodeKey()
		info := nodeInfo(key.ID(), "crossed")
		info.Channels = []byte{crosstest.Channel}
		mt := NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, WithHandshakeTimeout(time.Minute))
		t.Cleanup(func() { require.NoError(t, mt.Close()) })
		require.NoError(t, mt.Listen(loopback()))

		return mt
	}})
}
