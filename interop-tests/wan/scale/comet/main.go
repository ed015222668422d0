// Command comet has the processes of a measurement of package scale whose nodes are switches of
// github.com/cometbft/cometbft. Its module is outside the workspace, since the dependencies of
// CometBFT are not those of this project.
package main

import (
	"fmt"
	"os"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

func main() {
	child.Main(process.Roles(newNode))
	fmt.Fprintln(os.Stderr, "comet: it is started by ../../cmd/scale")
	os.Exit(1)
}
