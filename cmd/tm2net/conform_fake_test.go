package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/fakenode"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
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
		status, stdout, stderr := callUntil(t, noNodeInfo, "conform", node.Addr())
		require.Equal(t, cli.ExitFailed, status, stderr)
		require.Contains(t, stderr, "the node cannot be judged")
		require.Contains(t, stderr, want)
		require.Empty(t, stdout)
	}
}

// noNodeInfo reports that the node has not sent its NodeInfo within the second that a probe waits.
func noNodeInfo(_ int, _, stderr string) bool {
	return strings.Contains(stderr, "the node shows no NodeInfo")
}

// An interrupt while cases wait for a pong is no verdict on the node, and no known deviation.
func TestConformInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	node := fakenode.Start(t, "127.0.0.1", fakenode.Info(0x20), func(c *fakenode.Conn) {
		c.Greet()
		c.AwaitPing() // of a well-formed peer; what a case sends then is not answered
		c.Receive(rawnative.FrameSize)
		if c.Failure() == nil {
			interrupt()
		}
		c.Drain()
	})
	known := filepath.Join(t.TempDir(), "known.json")
	require.NoError(t, os.WriteFile(known, []byte("former"), 0o600))
	var stdout, stderr bytes.Buffer
	var status int
	for range attempts {
		stdout.Reset()
		stderr.Reset()
		status = cli.Execute(ctx, newRoot(), []string{
			"conform", node.Addr(), "--section", "packets", "--json", "--write-known", known, "--patience", "1m",
		}, &stdout, &stderr)
		if !noNodeInfo(status, stdout.String(), stderr.String()) {
			break
		}
	}
	require.Equal(t, cli.ExitFailed, status, stderr.String())
	var report conform.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &report))
	require.Positive(t, report.Counts[conform.Skipped])
	for _, one := range report.Results {
		require.Equal(t, conform.Skipped, one.Status, one.ID)
	}
	kept, err := os.ReadFile(known)
	require.NoError(t, err)
	require.Equal(t, "former", string(kept))
}

// What was seen of a node that wrongly accepts, and wrongly ends, is known from then on. The case gives the node
// 2.5 s to accept what it should not: if that passes, the node conforms.
func TestConformWritesWhatIsKnown(t *testing.T) {
	t.Parallel()
	node := fakenode.Start(t, "127.0.0.1", fakenode.Info(0x20), (*fakenode.Conn).Serve)
	known := filepath.Join(t.TempDir(), "known.json")
	judge := func(summary string, flags ...string) (int, string) {
		status, stdout, stderr := callUntil(t, func(_ int, stdout, _ string) bool { return !strings.Contains(stdout, summary) },
			append([]string{"conform", node.Addr(), "--section", "sts", "--strict", "--rate", "100", "--parallel", "32"}, flags...)...)

		return status, stdout + stderr
	}
	status, out := judge("3 deviates", "--write-known", known)
	require.Equal(t, exitShould, status, out)
	require.Contains(t, out, "3 deviates")
	require.Contains(t, out, "sts.reflected")
	require.Contains(t, out, "sts.prefix-nonminimal")
	status, out = judge("3 known", "--known", known)
	require.Zero(t, status, out)
	require.Contains(t, out, "3 known")
}
