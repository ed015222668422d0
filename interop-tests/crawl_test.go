package interoptests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// crawlPatience bounds the walks until all nodes are found: they learn of each other one after
// the other.
const crawlPatience = 5 * time.Minute

// startFindable starts a node with discovery in a DHT, entered at the seed if there is one, on
// both stacks with peer exchange, or on libp2p only.
func startFindable(t *testing.T, moniker string, both bool, seed *types.NetAddress) *node {
	t.Helper()
	log := peerlog.New(moniker)
	showOnFailure(t, log)
	key := types.GenerateNodeKey()
	info := newNodeInfo(key.ID(), nodeOptions{moniker: moniker})
	opts := []adapter.SwitchOption{
		adapter.WithReactor("interop", withoutDiscovery{newRecorder(t, log, false)}), adapter.WithAllowDuplicateIP(true),
	}
	var tr compat.ListeningTransport
	var libp2p *lp2p.Transport
	if both {
		d, err := dual.NewTransport(info, *key, mconn.DefaultMConnConfig(), newLogger(log))
		require.NoError(t, err)
		book, err := addrbook.Open("", types.NetAddress{})
		require.NoError(t, err)
		opts = append(opts, adapter.WithReactor("pex", pex.NewReactor(book)))
		tr, libp2p = d, d.Libp2p()
	} else {
		l, err := lp2p.NewTransport(info, *key, newLogger(log), lp2p.WithQUIC())
		require.NoError(t, err)
		tr, libp2p = l, l
	}
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*info.NetAddress))
	dht, err := discovery.New(libp2p, discovery.WithBootstrapPeers([]*types.NetAddress{seed}))
	require.NoError(t, err)
	addr := tr.NetAddress()
	info.NetAddress = &addr
	n := &node{Log: log, t: t, info: info, transport: tr}
	n.sw = adapter.NewMultiplexSwitch(tr, append(opts, adapter.WithReactor("dht", dht))...)
	n.stop = n.sw.Stop
	n.sw.SetLogger(newLogger(log))
	n.watch()
	t.Cleanup(n.Stop)
	require.NoError(t, n.sw.Start())

	return n
}

// found is what tm2net tells of a node.
type found struct {
	ID      string   `json:"id"`
	State   string   `json:"state"`
	Moniker string   `json:"moniker"`
	Network string   `json:"network"`
	Stacks  []string `json:"stacks"`
	Dialect string   `json:"dialect"`
	QUIC    *bool    `json:"quic"`
}

// TestCrawl walks a network of six gno nodes of three releases, two native nodes of ours, one on
// both stacks and one on libp2p, from one gno node, as a user does with the program.
func TestCrawl(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "tm2net")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net").CombinedOutput()
	require.NoError(t, err, "%s", out)

	hub := startFindable(t, "hub", true, nil)
	want := map[string][]string{hub.ID(): {"libp2p", "native"}}
	var seed *legacy.Peer
	var dialers []endpoint
	for _, version := range legacy.Versions() {
		for range 2 {
			gno := startDiscovering(t, version, "gno "+version)
			gno.Dial(hub.Addr())
			dialers = append(dialers, gno)
			want[gno.ID()] = []string{"native"}
			if seed == nil {
				seed = gno
			}
		}
	}
	for range 2 {
		ours := startPex(t, "ours")
		ours.Dial(hub.Addr())
		dialers = append(dialers, ours)
		want[ours.ID()] = []string{"native"}
	}
	for _, dialer := range dialers {
		awaitConnected(t, dialer, hub)
	}
	want[startFindable(t, "libp2p", false, hub.info.NetAddress).ID()] = []string{"libp2p"}
	require.Len(t, want, 10)

	for deadline := time.Now().Add(crawlPatience); ; {
		got := crawl(t, program, seed.Addr())
		stacks := make(map[string][]string)
		for _, n := range got {
			overQUIC := n.QUIC != nil && *n.QUIC
			// One that is held up tells nothing of itself, or does not answer over QUIC.
			if n.State == "reachable" && n.Network != "" && overQUIC == (n.Moniker == "libp2p") {
				stacks[n.ID] = n.Stacks
				require.Equal(t, "interop", n.Network)
				require.Contains(t, []string{"", "C"}, n.Dialect)
			}
		}
		if maps.EqualFunc(want, stacks, slices.Equal[[]string]) {
			return
		}
		require.True(t, time.Now().Before(deadline), "found %v, want %v", stacks, want)
	}
}

// crawl runs the program and returns what it tells, without the summary.
func crawl(t *testing.T, program, seed string) (nodes []found) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "crawl", "--json", "--quic", "--rate", "20", "--seeds", seed)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	t.Logf("%s", &stdout)
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var n found
		require.NoError(t, json.Unmarshal(lines.Bytes(), &n), "%s", lines.Bytes())
		if n.ID != "" {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
