package gnoland

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const chainID = "tm2-libp2p-test"

// fast are settings under which blocks follow each other as fast as the nodes can.
var fast = map[string]string{
	"consensus.timeout_commit": "100ms", "consensus.skip_timeout_commit": "true", "consensus.timeout_propose": "2s",
	"consensus.timeout_prevote": "500ms", "consensus.timeout_precommit": "500ms",
	"consensus.peer_gossip_sleep_duration": "10ms",
}

// network is a chain of real nodes.
type network struct {
	dir      string
	env      []string // of each program
	settings map[string]string
	genesis  string // file
	keys     string // folder of gnokey
	nodes    []*node
	watched  map[int]string // block and app hash of each height that was compared
}

// newNetwork returns a network without nodes, all of which get the settings.
func newNetwork(t *testing.T, settings map[string]string) *network {
	t.Helper()
	needsPrograms(t)
	dir := t.TempDir()
	net := &network{
		dir: dir, settings: settings, genesis: filepath.Join(dir, "genesis.json"), keys: filepath.Join(dir, "keys"),
		env: []string{"GNOROOT=" + smallRoot(t, dir)}, watched: make(map[int]string),
	}
	net.addKey(t)

	return net
}

// smallRoot makes a GNOROOT with one example, since each start of a chain loads them all.
func smallRoot(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "gnoroot")
	counter := filepath.Join("examples", "gno.land", "r", "demo", "counter")
	require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(counter)), 0o755))
	for _, name := range []string{"gnovm", "gno.land", "tm2"} {
		require.NoError(t, os.Symlink(filepath.Join(gnoDir, name), filepath.Join(root, name)))
	}
	require.NoError(t, os.CopyFS(filepath.Join(root, counter), os.DirFS(filepath.Join(gnoDir, counter))))
	work := filepath.Join("examples", "gnowork.toml")
	if text, err := os.ReadFile(filepath.Join(gnoDir, work)); err == nil { // older releases have none
		require.NoError(t, os.WriteFile(filepath.Join(root, work), text, 0o600))
	}

	return root
}

// makeGenesis lets a node start lazily, as gnoland makes a genesis for a single node, and
// puts the validators in it.
func (net *network) makeGenesis(t *testing.T, validators ...*node) {
	t.Helper()
	scratch := &network{dir: filepath.Join(net.dir, "scratch"), env: net.env, genesis: net.genesis}
	n := scratch.newNode(t, "stock")
	n.run(t, "-lazy")
	n.waitHeight(t, 1)
	n.stop(t)

	text, err := os.ReadFile(net.genesis)
	require.NoError(t, err)
	var genesis map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &genesis))
	var template []map[string]any
	require.NoError(t, json.Unmarshal(genesis["validators"], &template))
	var all []map[string]any
	for _, v := range validators {
		var stored struct {
			Key any `json:"pub_key"`
		}
		text, err := os.ReadFile(filepath.Join(v.home, "secrets", "priv_validator_key.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &stored))
		all = append(all, map[string]any{
			"address": v.secret(t, "validator_key")["address"], "pub_key": stored.Key, "power": template[0]["power"], "name": v.name,
		})
	}
	genesis["validators"], err = json.Marshal(all)
	require.NoError(t, err)
	text, err = json.Marshal(genesis)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(net.genesis, text, 0o600))
}

// top returns the height that all running nodes have.
func (net *network) top() int {
	height := -1
	for _, n := range net.running() {
		if h := n.height(); height < 0 || h < height {
			height = h
		}
	}

	return height
}

func (net *network) running() (nodes []*node) {
	for _, n := range net.nodes {
		if n.ended != nil && n.process.running() {
			nodes = append(nodes, n)
		}
	}

	return nodes
}

// grow waits until each running node has some more blocks than any has now.
func (net *network) grow(t *testing.T, blocks int) {
	t.Helper()
	highest := 0
	for _, n := range net.running() {
		highest = max(highest, n.height())
	}
	for _, n := range net.running() {
		n.waitHeight(t, highest+blocks)
	}
}

// agree checks that all running nodes have the same block and app hash at each height up to
// the one that all have, and returns it.
func (net *network) agree(t *testing.T) int {
	t.Helper()
	top := net.top()
	require.Positive(t, top)
	for _, n := range net.running() {
		for height := 1; height <= top; height++ {
			b := n.block(t, height)
			require.Equal(t, strconv.Itoa(height), b.Meta.Header.Height)
			hashes := b.Meta.ID.Hash + " " + b.Meta.Header.AppHash
			if known, ok := net.watched[height]; ok {
				require.Equal(t, known, hashes, "%s has another block %d", n.name, height)
			}
			net.watched[height] = hashes
		}
	}

	return top
}

// agreeOn checks that a block has a transaction on all running nodes.
func (net *network) agreeOn(t *testing.T, height int, hash string) {
	t.Helper()
	for _, n := range net.running() {
		n.waitHeight(t, height)
		require.True(t, n.block(t, height).has(t, hash), "%s: no transaction %s in block %d", n.name, hash, height)
	}
}

// String shows the stacks of the validators.
func (net *network) String() string {
	var text string
	for _, n := range net.nodes {
		text += fmt.Sprintf("%s ", n.stack)
	}

	return text
}
