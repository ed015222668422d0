// Command node is a node of this project with the command line of the peers of gno, so that the
// same harness runs it. -stack chooses the stack. A bridge runs beside a node of the other stack,
// with which it pairs whoever dials it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
)

func main() {
	var stack string
	program.Main(func(c program.Config, out *program.Reporter, logger *slog.Logger) (program.Node, error) {
		switch stack {
		case "native", "libp2p", "quic", "dual":
			return newNode(stack, c, out, logger)
		case "bridge", "bridge-libp2p":
			return newBridged(stack, c, out, logger)
		default:
			return nil, fmt.Errorf("there is no stack %q", stack)
		}
	}, func(fs *flag.FlagSet) {
		fs.StringVar(&stack, "stack", "native", "native, libp2p, quic (libp2p over QUIC, too), dual, bridge (its native side) or bridge-libp2p")
	})
}

// errNoPeers is returned by what only peers of tests need.
var errNoPeers = errors.New("not supported")

// listenAddress is the address at which the program listens, with the ID.
func listenAddress(id types.ID, c program.Config) (*types.NetAddress, error) {
	return types.ParseNetAddress(types.NetAddressString(id, c.Listen))
}
