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
	// Name is that of the stack in node names and tables.
	Name string
	// Speaks is what nodes of the stack say to each other; only those that speak the
	// same may dial each other.
	Speaks Protocol
	// New returns a switch whose nodes dial their persistent peers when it is started,
	// and whose Close closes the transport too.
	New func(Setup) (validator.Switch, error)
}

// Protocol is what a stack speaks.
type Protocol string

// The protocols: TM2's own over TCP, and sessions over libp2p.
const (
	SpeaksNative Protocol = "native"
	SpeaksLibp2p Protocol = "libp2p"
)

// Setup is what the switch of one node is made from.
type Setup struct {
	Self     validator.Identity
	Reactors map[string]p2p.Reactor
	P2P      *p2pcfg.P2PConfig // with ListenAddress and PersistentPeers of the node
	Logger   *slog.Logger
}

// stackNamed returns the stack of that name, of those that reach other processes.
func stackNamed(name string) (Stack, error) {
	for _, s := range []Stack{Gno(), Native(), Libp2p(), Libp2pQUIC(), GnoOnLibp2p()} {
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
