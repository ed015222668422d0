package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func nodeInfo(id types.ID) types.NodeInfo {
	return types.NodeInfo{
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)}, Network: "dev", Version: "v1.0.0", Moniker: "target",
		Channels: []byte{pex.Channel},
	}
}

// startNative starts a native node and returns its address.
func startNative(t *testing.T) types.NetAddress {
	t.Helper()
	key := types.GenerateNodeKey()
	tr := native.NewMultiplexTransport(nodeInfo(key.ID()), *key, mconn.DefaultMConnConfig(), nil)
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	book, err := addrbook.Open("", types.NetAddress{})
	require.NoError(t, err)
	sw := adapter.NewMultiplexSwitch(tr, adapter.WithReactor("pex", pex.NewReactor(book)), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, tr.Close())
	})

	return tr.NetAddress()
}

// startLibp2p starts a libp2p node and returns its address.
func startLibp2p(t *testing.T) types.NetAddress {
	t.Helper()
	key := types.GenerateNodeKey()
	tr, err := lp2p.NewTransport(nodeInfo(key.ID()), *key, nil, lp2p.WithQUIC())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))

	return tr.NetAddress()
}

// TestExamples runs the examples of every command, in the order of the help, in an empty folder
// with a node key, and with nodes at the two addresses that they name. One that goes on until
// an interrupt is interrupted once it has printed something.
func TestExamples(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := types.GeneratePersistedNodeKey("node_key.json")
	require.NoError(t, err)
	nativeAt, libp2pAt := startNative(t), startLibp2p(t)
	nodes := strings.NewReplacer("127.0.0.1:26656", nativeAt.DialString(), "127.0.0.1:36656", libp2pAt.DialString())
	for _, cmd := range newRoot().Commands() {
		if cmd.Name() == "completion" || cmd.Name() == "help" || cmd.Name() == "version" {
			continue
		}
		require.NotEmpty(t, cmd.Example, cmd.Name())
		for line := range strings.Lines(cmd.Example) {
			t.Run(strings.TrimSpace(line), func(t *testing.T) {
				require.True(t, strings.HasPrefix(line, "  tm2net "+cmd.Name()+" "), line)
				runExample(t, cmd, strings.Fields(nodes.Replace(line))[1:])
			})
		}
	}
}

func runExample(t *testing.T, cmd *cobra.Command, args []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errOut bytes.Buffer
	out := &firstWrite{seen: func() {}}
	if watch := cmd.Flags().Lookup("watch"); watch != nil && strings.Contains(strings.Join(args, " "), "--watch") {
		out.seen = cancel
	}
	status := cli.Execute(ctx, newRoot(), args, out, &errOut)
	require.Zero(t, status, errOut.String())
	require.NotEmpty(t, out.text())
}

// firstWrite is a buffer that tells of the first write.
type firstWrite struct {
	mtx  sync.Mutex
	buf  bytes.Buffer
	seen func()
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	if w.buf.Len() == 0 {
		w.seen()
	}

	return w.buf.Write(p)
}

func (w *firstWrite) text() string {
	w.mtx.Lock()
	defer w.mtx.Unlock()

	return w.buf.String()
}
