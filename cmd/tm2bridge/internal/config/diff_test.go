package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

func TestAtNextStart(t *testing.T) {
	a, b := config.Default(), config.Default()
	b.P2P.PersistentPeers, b.Log.Level = peerA, "debug"
	require.Empty(t, config.AtNextStart(a, b))
	b.Bridge.MaxPairs, b.HTTP.Pprof = 3, true
	require.Equal(t, []string{"bridge.max_pairs", "http.pprof"}, config.AtNextStart(a, b))
}
