package cluster

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// Stack makes the switches of nodes.
type Stack struct {
	// Name is used in node names and tables.
	Name string
	// Speaks is the protocol of the stack. Topologies link nodes with the same protocol.
	Speaks Protocol
	// New returns a switch. Its Start dials the persistent peers, and its Close also closes
	// the transport.
	New func(Setup) (validator.Switch, error)
}

// Protocol is the protocol of a stack.
type Protocol string

// The protocols: TM2's own over TCP, sessions over libp2p, and both.
const (
	SpeaksNative Protocol = "native"
	SpeaksLibp2p Protocol = "libp2p"
	SpeaksBoth   Protocol = "both"
)

// Setup holds the arguments for the switch of one node.
type Setup struct {
	Self     validator.Identity
	Reactors map[string]p2p.Reactor
	P2P      *p2pcfg.P2PConfig // with ListenAddress and PersistentPeers of the node
	Logger   *slog.Logger
}

// StackNamed returns the stack with the name. It knows only stacks that reach other
// processes.
func StackNamed(name string) (Stack, error) {
	for _, s := range []Stack{Gno(), Native(), Libp2p(), Libp2pQUIC(), GnoOnLibp2p(), Dual()} {
		if s.Name == name {
			return s, nil
		}
	}

	return Stack{}, fmt.Errorf("no stack %q", name)
}

// splitList returns the entries of a comma-separated list.
func splitList(list string) []string {
	if list == "" {
		return nil
	}

	return strings.Split(list, ",")
}
