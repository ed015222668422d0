package gnoland

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// node is a gnoland with a home of its own.
type node struct {
	process
	name     string
	home     string
	rpc, p2p int // ports of 127.0.0.1
	id       string
	stack    string // of its next start: "stock", "native", "dual" or "libp2p"
	net      *network
}

// newNode makes a home by gnoland's own commands.
func (net *network) newNode(t *testing.T, stack string) *node {
	t.Helper()
	n := &node{
		name: fmt.Sprintf("n%d", len(net.nodes)), rpc: freePort(t), p2p: freePort(t), stack: stack, net: net,
	}
	n.home = filepath.Join(net.dir, n.name)
	n.log = logFile(t, n.name)
	net.nodes = append(net.nodes, n)
	command(t, net.env, "", stock, "secrets", "init", "-data-dir", filepath.Join(n.home, "secrets"))
	command(t, net.env, "", stock, "config", "init", "-config-path", n.configFile())
	n.id = n.secret(t, "node_id")["id"]
	n.set(t, "moniker", n.name)
	n.set(t, "rpc.laddr", "tcp://127.0.0.1:"+strconv.Itoa(n.rpc))
	n.set(t, "p2p.laddr", "tcp://127.0.0.1:"+strconv.Itoa(n.p2p))
	if *gno != "v1.1.0" { // which has neither the key nor the rule
		n.set(t, "p2p.allow_duplicate_ip", "true") // all nodes of these tests share one IP
	}
	for key, value := range net.settings {
		n.set(t, key, value)
	}

	return n
}

func (n *node) configFile() string { return filepath.Join(n.home, "config", "config.toml") }

// set is `gnoland config set`, by the program that runs the node.
func (n *node) set(t *testing.T, key, value string) {
	t.Helper()
	command(t, n.net.env, "", n.program(), "config", "set", key, value, "-config-path", n.configFile())
}

// secret is `gnoland secrets get`.
func (n *node) secret(t *testing.T, name string) map[string]string {
	t.Helper()
	var values map[string]string
	text := command(t, n.net.env, "", stock, "secrets", "get", name, "-data-dir", filepath.Join(n.home, "secrets"))
	require.NoError(t, json.Unmarshal([]byte(text), &values), text)

	return values
}

// address is where others dial the node.
func (n *node) address() string { return fmt.Sprintf("%s@127.0.0.1:%d", n.id, n.p2p) }

// program is that of the node's stack.
func (n *node) program() string {
	if n.stack == "stock" {
		return stock
	}

	return ours
}

// dials returns the [p2p].dial that goes with a stack.
func dials(stack string) string {
	if stack == "dual" {
		return "auto"
	}

	return stack
}

// run starts the node on its stack.
func (n *node) run(t *testing.T, args ...string) {
	t.Helper()
	if n.stack != "stock" {
		n.set(t, "p2p.stack", n.stack)
		n.set(t, "p2p.dial", dials(n.stack))
		n.set(t, "p2p.allow_duplicate_ip", "true")
	}
	n.start(t, n.net.env, n.program(), append([]string{
		"start", "-data-dir", n.home, "-genesis", n.net.genesis, "-chainid", chainID, "-log-level", "info",
		"-skip-genesis-sig-verification",
	}, args...)...)
}

// height returns the node's height, or -1 if it does not answer.
func (n *node) height() int {
	var status struct {
		SyncInfo struct {
			LatestBlockHeight string `json:"latest_block_height"`
		} `json:"sync_info"`
	}
	if err := n.call("status", &status); err != nil {
		return -1
	}
	height, err := strconv.Atoi(status.SyncInfo.LatestBlockHeight)
	if err != nil {
		return -1
	}

	return height
}

// waitHeight waits until the node has a block of a height.
func (n *node) waitHeight(t *testing.T, height int) {
	t.Helper()
	n.waitUntil(t, fmt.Sprintf("height %d", height), func() bool { return n.height() >= height })
}

// waitUntil waits until something is true of the node, and fails if it ends or takes
// too long for any machine.
func (n *node) waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(5 * time.Minute); !is(); {
		<-ticker.C
		require.True(t, n.running(), "%s has ended: %s", n.name, n.tail(t))
		require.True(t, time.Now().Before(deadline), "%s: no %s; log: %s", n.name, what, n.tail(t))
	}
}

// addresses joins the addresses of nodes as [p2p].persistent_peers has them.
func addresses(nodes ...*node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.address())
	}

	return strings.Join(all, ",")
}
