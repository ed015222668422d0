package gnoland

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSentries puts a validator behind two sentries. The other validator, without which there
// is no block, knows only the sentries, and never hears of the validator behind them.
func TestSentries(t *testing.T) {
	var rows [][]string
	for _, stacks := range [][4]string{ // the private validator, its sentries, the other validator
		{"stock", "native", "native", "stock"},
		{"native", "native", "native", "native"},
		{"libp2p", "libp2p", "libp2p", "libp2p"},
		{"stock", "dual", "dual", "libp2p"},
		{"libp2p", "dual", "dual", "stock"},
	} {
		t.Run(fmt.Sprint(stacks), func(t *testing.T) {
			net := newNetwork(t, fast)
			hidden := net.newNode(t, stacks[0])
			sentries := []*node{net.newNode(t, stacks[1]), net.newNode(t, stacks[2])}
			other := net.newNode(t, stacks[3])
			hidden.set(t, "p2p.pex", "false")
			hidden.set(t, "p2p.persistent_peers", addresses(sentries...))
			for _, s := range sentries {
				s.set(t, "p2p.private_peer_ids", hidden.id)
				s.set(t, "p2p.persistent_peers", hidden.address())
			}
			other.set(t, "p2p.persistent_peers", addresses(sentries...))
			net.makeGenesis(t, hidden, other)
			for _, n := range net.nodes {
				n.run(t)
			}
			net.grow(t, 5)
			height, hash := other.send(t, "to the hidden one")
			net.agreeOn(t, height, hash)
			sentries[0].kill(t)
			net.grow(t, 5)
			sentries[0].run(t)
			sentries[0].waitUntil(t, "blocks", func() bool { return sentries[0].height() >= height })
			net.grow(t, 5)

			require.NotContains(t, other.peers(t), hidden.name)
			for name := range hidden.peers(t) {
				require.True(t, slices.ContainsFunc(sentries, func(s *node) bool { return s.name == name }), name)
			}
			if book, err := os.ReadFile(filepath.Join(other.home, "config", "addrbook.json")); err == nil { // older releases have none
				require.NotContains(t, string(book), hidden.id)
			}
			rows = append(rows, []string{stacks[0], stacks[1] + ", " + stacks[2], stacks[3], fmt.Sprint(net.agree(t))})
			for _, n := range net.nodes {
				n.stop(t)
			}
		})
	}
	written.table("A validator behind two sentries",
		"Two validators, of which one has only the sentries as peers. One sentry is killed and comes back. The other validator never learns of the private one.",
		[]string{"Private validator", "Sentries", "Other validator", "Blocks"}, rows)
}
