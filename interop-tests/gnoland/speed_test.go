package gnoland

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBlockRate measures how many blocks four validators make on each stack, at gnoland's
// default configuration and at fast settings.
func TestBlockRate(t *testing.T) {
	var rows [][]string
	for _, config := range []struct {
		name     string
		settings map[string]string
	}{{"default", nil}, {"fast", fast}} {
		t.Run(config.name, func(t *testing.T) {
			net := validators(t, 4, config.settings)
			for _, stack := range []string{"stock", "native", "dual", "libp2p"} {
				if stack != "stock" {
					for _, n := range net.nodes {
						n.stop(t)
					}
					for _, n := range net.nodes {
						n.stack = stack
						n.run(t)
					}
					net.waitLinked(t)
					net.grow(t, 2)
				}
				rows = append(rows, []string{config.name, stack, fmt.Sprintf("%.2f", net.nodes[0].rate(t, 40*time.Second))})
				t.Log(rows[len(rows)-1])
			}
			net.agree(t)
			for _, n := range net.nodes {
				n.stop(t)
			}
		})
	}
	written.table("Blocks of four validators",
		fmt.Sprintf("Blocks a second during 40 s, all on one machine. Fast is %v.", fast),
		[]string{"Configuration", "Stack", "Blocks/s"}, rows)
}

// TestSync measures how fast a new node gets the blocks of another one.
func TestSync(t *testing.T) {
	net := newNetwork(t, fast)
	source := net.newNode(t, "stock")
	source.set(t, "p2p.pex", "false")
	net.makeGenesis(t, source)
	source.run(t)
	source.waitHeight(t, 1)
	memo := strings.Repeat("m", 50_000)
	for range 40 {
		source.send(t, memo)
	}
	source.waitHeight(t, 600)
	source.set(t, "consensus.create_empty_blocks", "false")
	source.stop(t)

	var rows [][]string
	measure := func(name, stack, joins string, relay *relay) {
		source.stack = stack
		source.run(t)
		source.waitUntil(t, "RPC", func() bool { return source.height() > 0 })
		joiner := net.newNode(t, joins)
		joiner.set(t, "p2p.pex", "false")
		peer := source.address()
		if relay != nil {
			relay.run(t)
			peer = relay.libp2pAddress()
		}
		joiner.set(t, "p2p.persistent_peers", peer)
		joiner.run(t)
		joiner.waitHeight(t, 1)
		from, start := joiner.height(), time.Now()
		to := source.height() - 2
		joiner.waitHeight(t, to)
		took := time.Since(start).Seconds()
		size := 0
		for height := from + 1; height <= to; height++ {
			for _, tx := range joiner.block(t, height).Block.Data.Txs {
				size += base64.StdEncoding.DecodedLen(len(tx))
			}
		}
		net.agree(t)
		rows = append(rows, []string{name, fmt.Sprint(to - from), fmt.Sprintf("%.1f", float64(to-from)/took),
			fmt.Sprintf("%.2f", float64(size)/took/1e6)})
		t.Log(rows[len(rows)-1])
		joiner.stop(t)
		source.stop(t)
	}
	for _, stack := range []string{"stock", "native", "dual", "libp2p"} {
		measure(stack, stack, stack, nil)
	}
	bridge := net.newRelay(t, []*node{source}, nil)
	measure("from stock to libp2p, through the bridge", "stock", "libp2p", bridge)
	bridge.stop(t)
	require.Len(t, rows, 5)
	written.table("Sync of a new node",
		"One validator has the blocks, 40 of which have a transaction of 50 kB. A new node gets them from it alone. MB are those of transactions.",
		[]string{"Stack of both", "Blocks", "Blocks/s", "MB/s"}, rows)
}
