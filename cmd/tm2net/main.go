// Command tm2net looks at networks of TM2 nodes and at single nodes, of either stack.
//
//	tm2net probe ADDRESS...    find out who answers at addresses, and over which stack
//
// Results go to the standard output, errors and progress to the standard error. The exit
// status is 0 on success, 1 if what the command was to do has failed, 2 if the command
// line is wrong.
package main

import (
	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	return cli.NewRoot("tm2net", "Look at networks of TM2 nodes, and at single nodes",
		newProbe(),
	)
}
