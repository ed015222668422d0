// Command tm2net looks at networks of TM2 nodes and at single nodes, of either stack.
//
//	tm2net probe ADDRESS...      find out who answers at addresses, and over which stack
//	tm2net crawl --seeds ...     walk a network and tell who is there
//	tm2net report FILE           show how a network moved, from the summaries of crawls
//	tm2net record ADDRESS        record a connection and explain each byte of it
//	tm2net id KEYFILE...         show the IDs of node keys
//	tm2net convert FORM...       write IDs and addresses in the forms of both stacks
//	tm2net conform ADDRESS       judge a running node by the specification
//
// Results go to the standard output, errors and progress to the standard error. The exit
// status is 0 on success, 1 if what the command was to do has failed, 2 if the command
// line is wrong; conform has further ones.
package main

import (
	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	return cli.NewRoot("tm2net", "Look at networks of TM2 nodes, and at single nodes",
		newProbe(),
		newCrawl(),
		newReport(),
		newRecord(),
		newID(),
		newConvert(),
		newConform(),
	)
}
