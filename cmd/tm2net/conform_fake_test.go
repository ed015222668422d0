package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/fakenode"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// A node chooses its NodeInfo, of which the cases are made. One of which they cannot be made is no verdict,
// and ends nothing but the run.
func TestConformOfANodeThatCannotBeJudged(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for want, change := range map[string]func(*wire.NodeInfo){
		"no channel":              func(i *wire.NodeInfo) { i.Channels = nil },
		"excessive node channels": func(i *wire.NodeInfo) { i.Channels = all },
		"cases need 256":          func(i *wire.NodeInfo) { i.Network = strings.Repeat("n", 10000) },
		"no network":              func(i *wire.NodeInfo) { i.Network = "" },
		"invalid node moniker":    func(i *wire.NodeInfo) { i.Moniker = "\t" },
	} {
		info := fakenode.Info(0x20)
		change(&info)
		node := fakenode.Start(t, "127.0.0.1", info, (*fakenode.Conn).Serve)
		status, stdout, stderr := call(t, "conform", node.Addr())
		require.Equal(t, cli.ExitFailed, status, stderr)
		require.Contains(t, stderr, "the node cannot be judged")
		require.Contains(t, stderr, want)
		require.Empty(t, stdout)
	}
}
