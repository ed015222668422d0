package main

import (
	"bytes"
	"cmp"
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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

// readsWhatOf are the commands whose examples read a file that the examples of another one write.
var readsWhatOf = map[string]string{"report": "crawl"}

// TestExamples runs the examples of every command, in the order of the help, in a folder with a node key, and with
// nodes of its own at the two addresses that they name. One that goes on until an interrupt is interrupted once it has
// printed something. Commands run beside each other, since most of them wait for nodes.
func TestExamples(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, err := types.GeneratePersistedNodeKey(filepath.Join(folder, "node_key.json"))
	require.NoError(t, err)
	lines := make(map[string][]string) // by the command that is run first
	for _, cmd := range newRoot().Commands() {
		if cmd.Name() == "completion" || cmd.Name() == "help" || cmd.Name() == "version" {
			continue
		}
		require.NotEmpty(t, cmd.Example, cmd.Name())
		for line := range strings.Lines(cmd.Example) {
			require.True(t, strings.HasPrefix(line, "  tm2net "+cmd.Name()+" "), line)
			first := cmp.Or(readsWhatOf[cmd.Name()], cmd.Name())
			lines[first] = append(lines[first], strings.TrimSpace(line))
		}
	}
	for first, examples := range lines {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			nativeAt, libp2pAt := startNative(t), startLibp2p(t)
			nodes := strings.NewReplacer("127.0.0.1:26656", nativeAt.DialString(), "127.0.0.1:36656", libp2pAt.DialString())
			for _, line := range examples {
				t.Run(line, func(t *testing.T) { runExample(t, inFolder(folder, strings.Fields(nodes.Replace(line))[1:])) })
			}
		})
	}
}

// inFolder returns the arguments with the files among them in the folder.
func inFolder(folder string, args []string) []string {
	for i, arg := range args {
		switch filepath.Ext(arg) {
		case ".json", ".jsonl", ".svg", ".xml":
			args[i] = filepath.Join(folder, arg)
		}
	}

	return args
}

// runExample runs a command line, again if it fails: most failures of a busy machine are nodes that were late. One that
// is wrong fails each time.
func runExample(t *testing.T, args []string) {
	t.Helper()
	var status int
	var errOut bytes.Buffer
	out := &firstWrite{}
	for range attempts {
		ctx, cancel := context.WithCancel(t.Context())
		errOut.Reset()
		out = &firstWrite{seen: func() {}}
		if slices.Contains(args, "--watch") {
			out.seen = cancel
		}
		status = cli.Execute(ctx, newRoot(), args, out, &errOut)
		cancel()
		if status == 0 || status == cli.ExitUsage {
			break
		}
		t.Logf("status %d: %s", status, errOut.String())
	}
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
