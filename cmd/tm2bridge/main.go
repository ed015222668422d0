// Command tm2bridge joins TM2 nodes that speak only the native protocol to nodes
// that speak only libp2p.
//
//	tm2bridge demo                  a network of both kinds of nodes in one process
//	tm2bridge init                  make a home with config.toml and node_key.json
//	tm2bridge check                 try everything before the start
//	tm2bridge start                 run the bridge
//	tm2bridge status                show what a running bridge does
//	tm2bridge connect SIDE ADDRESS  give a running bridge a target; also block, unblock, forget, log
//	tm2bridge id                    show the identity of the bridge, or of a node behind it
//	tm2bridge version               show the version
//
// Results go to the standard output and logs to the standard error. The exit
// status is 0 on success; docs/operate.md has the others. tm2net examines nodes.
package main

import (
	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	return cli.NewRoot("tm2bridge", "Bridge between TM2 nodes of the native protocol and of libp2p",
		newDemo(), newInit(), newCheck(), newStart(), newStatus(), newConnect(), newForget(), newBlock(), newUnblock(),
		newLogLevel(), newProbe(), newID())
}
