package interoptests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
)

// startLibp2p starts a node that speaks only libp2p.
func startLibp2p(t *testing.T, o nodeOptions) *node {
	t.Helper()
	log := peerlog.New("libp2p " + o.moniker)
	key := types.GenerateNodeKey()
	info := newNodeInfo(key.ID(), o)
	tr, err := lp2p.NewTransport(info, *key, newLogger(log), lp2p.WithSockets(o.sockets()))
	require.NoError(t, err)

	return startNode(t, log, tr, info, o)
}
