package gnoland

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperator looks at nodes of ours as an operator does: config, RPC, logs, telemetry. Blocks
// come at gnoland's default pace: a node that stops in the middle of block sync may panic,
// since nothing waits for the goroutine of gno's reactor before the databases are closed.
func TestOperator(t *testing.T) {
	net := newNetwork(t, nil)
	exported := make(chan []byte, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			select {
			case exported <- body:
			default: // the test has enough
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(collector.Close)
	net.env = append(net.env, "OTEL_METRIC_EXPORT_INTERVAL=500", "OTEL_EXPORTER_OTLP_COMPRESSION=none")

	first := net.newNode(t, "dual")
	named := net.newNode(t, "libp2p") // has the first one's host name as a persistent peer
	seeded := net.newNode(t, "dual")  // has the first one as a seed
	stale := net.newNode(t, "stock")
	named.set(t, "p2p.persistent_peers", strings.Replace(first.address(), "127.0.0.1", "localhost", 1))
	seeded.set(t, "p2p.seeds", first.address())
	stale.set(t, "p2p.persistent_peers", first.address())
	first.set(t, "telemetry.metrics_enabled", "true")
	first.set(t, "telemetry.exporter_endpoint", collector.URL)
	net.makeGenesis(t, first)

	for _, n := range net.nodes {
		n.run(t, "-log-format", "json")
	}
	net.grow(t, 3)
	t.Run("net_info", func(t *testing.T) {
		first.waitUntil(t, "three peers", func() bool { return len(first.peers(t)) == 3 })
		for name, p := range first.peers(t) {
			require.False(t, p.IsOutbound, name)
			require.Equal(t, "127.0.0.1", p.RemoteIP)
			require.Equal(t, chainID, p.NodeInfo.Network)
		}
		for _, n := range net.nodes[1:] {
			require.True(t, n.peers(t)[first.name].IsOutbound, n.name)
			require.True(t, strings.HasPrefix(n.peers(t)[first.name].NodeInfo.NetAddress, first.id+"@"))
		}
	})
	t.Run("status", func(t *testing.T) {
		var status struct {
			NodeInfo struct {
				Moniker string `json:"moniker"`
				Network string `json:"network"`
			} `json:"node_info"`
			BuildVersion string `json:"build_version"`
		}
		require.NoError(t, first.call("status", &status))
		require.Equal(t, first.name, status.NodeInfo.Moniker)
		require.Equal(t, chainID, status.NodeInfo.Network)
	})
	t.Run("telemetry", func(t *testing.T) {
		missing := []string{"inbound_peers_gauge", "outbound_peers_gauge", "tm2_p2p_handshakes_total"}
		first.waitUntil(t, "metrics", func() bool {
			select {
			case body := <-exported:
				missing = slices.DeleteFunc(missing, func(name string) bool { return bytes.Contains(body, []byte(name)) })
			default:
			}

			return len(missing) == 0
		})
	})
	t.Run("logs", func(t *testing.T) {
		choices := 0
		for line := range strings.Lines(first.output(t)) {
			var entry struct {
				Level string `json:"level"`
				Msg   string `json:"msg"`
				Stack string `json:"stack"`
			}
			if !strings.HasPrefix(line, "{") {
				continue // gnoland's banner
			}
			require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
			require.NotEmpty(t, entry.Level, line)
			if entry.Msg == "p2p stack" {
				choices++
				require.Equal(t, "dual (config.toml)", entry.Stack)
			}
		}
		require.Equal(t, 1, choices)
	})
	net.agree(t)
	for _, n := range net.nodes {
		n.stop(t)
	}
}

// TestStackIsChosen checks where an operator chooses the stack, and what a wrong choice says.
func TestStackIsChosen(t *testing.T) {
	net := newNetwork(t, fast)
	n := net.newNode(t, "dual")
	get := func(key string) string {
		return strings.TrimSpace(command(t, net.env, "", ours, "config", "get", key, "-config-path", n.configFile()))
	}
	if *gno != "v1.1.0" { // which shows no defaults
		require.Equal(t, `"dual"`, get("p2p.stack"), "the default, which the stock program has not written")
	}
	n.set(t, "p2p.stack", "native")
	n.set(t, "p2p.quic", "true")
	require.Equal(t, `"native"`, get("p2p.stack"))
	require.Equal(t, `true`, get("p2p.quic"))

	net.makeGenesis(t, n)
	net.env = append(net.env, "TM2_P2P_DIAL=native-first")
	require.NoError(t, os.WriteFile(filepath.Join(n.home, "config", "p2p.toml"), []byte("[p2p]\nstack = \"libp2p\"\n"), 0o600))
	start := []string{"start", "-data-dir", n.home, "-genesis", net.genesis, "-chainid", chainID, "-skip-genesis-sig-verification"}
	n.start(t, net.env, ours, start...)
	n.waitHeight(t, 1)
	n.stop(t)
	require.Contains(t, n.output(t), "libp2p (p2p.toml)")
	require.Contains(t, n.output(t), "native-first (TM2_P2P_DIAL)")
	require.Contains(t, n.output(t), "true (config.toml)")

	text, err := tryCommand(t, append(net.env, "TM2_P2P_STACK=fast"), "", ours, start...)
	require.Error(t, err)
	require.Contains(t, text, "TM2_P2P_STACK")
}

// TestExternalNameNeedNotResolve starts a node whose external address has a host name that does not
// resolve, which the stock program refuses.
func TestExternalNameNeedNotResolve(t *testing.T) {
	net := newNetwork(t, fast)
	n := net.newNode(t, "dual")
	net.makeGenesis(t, n)
	n.set(t, "p2p.external_address", "no.such.host.invalid:26656")
	start := []string{"start", "-data-dir", n.home, "-genesis", net.genesis, "-chainid", chainID, "-skip-genesis-sig-verification"}
	text, err := tryCommand(t, net.env, "", stock, start...)
	require.Error(t, err)
	require.Contains(t, text, "external address")
	n.run(t)
	n.waitHeight(t, 1)
	n.stop(t)

	n.set(t, "p2p.external_address", "no.such.host.invalid:0")
	text, err = tryCommand(t, net.env, "", ours, start...)
	require.Error(t, err)
	require.Contains(t, text, "[p2p].external_address")
}

// TestLazyStart lets our program make its config and a genesis by itself.
func TestLazyStart(t *testing.T) {
	net := newNetwork(t, fast)
	file := filepath.Join(t.TempDir(), "config.toml")
	command(t, net.env, "", ours, "config", "init", "-config-path", file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), "stack = \"dual\"")

	n := net.newNode(t, "libp2p")
	n.run(t, "-lazy")
	n.waitHeight(t, 2)
	n.stop(t)
}
