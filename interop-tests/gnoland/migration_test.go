package gnoland

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// validators returns a network of stock validators that are linked to each other and make
// blocks.
func validators(t *testing.T, count int, settings map[string]string) *network {
	t.Helper()
	net := newNetwork(t, settings)
	for range count {
		net.newNode(t, "stock")
	}
	for i, n := range net.nodes {
		n.set(t, "p2p.persistent_peers", addresses(net.nodes[:i]...))
	}
	net.makeGenesis(t, net.nodes...)
	for _, n := range net.nodes {
		n.run(t)
	}
	net.waitLinked(t)
	net.grow(t, 2)

	return net
}

// waitLinked waits until each running node has all others as peers.
func (net *network) waitLinked(t *testing.T) {
	t.Helper()
	for _, n := range net.running() {
		n.waitUntil(t, "link to each node", func() bool { return len(n.peers(t)) == len(net.running())-1 })
	}
}

// TestMigration restarts four validators one by one on each stack in turn and back. The
// blocks go on while one is down, and transactions sent before, during and after each
// restart are in the same block on all.
func TestMigration(t *testing.T) {
	net := validators(t, 4, fast)
	var rows [][]string
	row := func(step string, from int, gap, back time.Duration) {
		top := net.agree(t)
		rows = append(rows, []string{step, fmt.Sprint(top - from), seconds(gap), seconds(back),
			fmt.Sprintf("%.1f", net.nodes[0].rate(t, 15*time.Second))})
		t.Log(rows[len(rows)-1])
	}
	net.grow(t, 20)
	row("4 stock", 2, net.nodes[0].longestGap(t, 2, net.top()), 0) // block 1 has the time of the genesis
	for _, stack := range []string{"native", "dual", "libp2p", "dual", "native", "stock"} {
		from := net.top()
		var slowest time.Duration
		for i, n := range net.nodes {
			slowest = max(slowest, n.restart(t, stack, net.nodes[(i+1)%len(net.nodes)]))
		}
		top := net.agree(t)
		row("4 "+stack, from, net.nodes[0].longestGap(t, from, top), slowest)
	}
	for _, n := range net.nodes {
		n.stop(t)
	}
	written.table("Migration of four validators, and back",
		"Four validators restart one by one on the stack of each step. The times are the longest between two blocks, and the longest from the "+
			"start of a validator until it has all blocks and all peers. A transaction before, during and after each restart is in the same block on "+
			"all nodes. Block and app hash are the same on all at each height.",
		[]string{"Step", "Blocks", "Longest gap", "Validator back after", "Blocks/s then"}, rows)
}

// restart stops a node and starts it on a stack, while the others make blocks. It returns
// how long the start took until the node has caught up and has all peers.
func (n *node) restart(t *testing.T, stack string, other *node) time.Duration {
	t.Helper()
	check := func(through *node, memo string) {
		height, hash := through.send(t, memo)
		n.net.agreeOn(t, height, hash)
	}
	check(n, "before "+n.name+" "+stack)
	n.stop(t)
	n.net.grow(t, 2)
	during, hash := other.send(t, "while "+n.name+" is down")
	n.net.agreeOn(t, during, hash)

	n.stack = stack
	start := time.Now()
	n.run(t)
	n.waitHeight(t, other.height())
	n.net.waitLinked(t)
	back := time.Since(start)
	n.net.agreeOn(t, during, hash)
	check(n, "after "+n.name+" "+stack)
	if stack != "stock" {
		require.Contains(t, n.output(t), "p2p stack")
	}

	return back
}
