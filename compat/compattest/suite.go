package compattest

import (
	"testing"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The channels of every node that the suites make.
const (
	ChannelA byte = 0x20
	ChannelB byte = 0x21
)

// patience bounds every wait of the suites; none waits for it to pass.
const patience = 30 * time.Second

// Spec is a node that a suite wants: its key, and what it tells its peers. The
// node listens on the IP of Info.NetAddress, on its port if that is not zero
// (as a node that comes back does), else on one of its own choice.
type Spec struct {
	Key  types.NodeKey
	Info types.NodeInfo
}

// MakePair returns two transports that listen and can reach each other. They
// are closed, and everything of them has ended, when the test and its cleanup
// end.
type MakePair func(t *testing.T, a, b Spec) (compat.Transport, compat.Transport)

// SwitchSpec is a node with a switch that a suite wants.
type SwitchSpec struct {
	Spec
	Reactors         []NamedReactor // in this order
	PersistentPeers  []*types.NetAddress
	PrivatePeers     []types.ID
	MaxInboundPeers  uint64
	MaxOutboundPeers uint64
	AllowDuplicateIP bool
}

// NamedReactor is a reactor of a SwitchSpec.
type NamedReactor struct {
	Name string
	compat.Reactor
}

// SwitchNode is a switch under test.
type SwitchNode interface {
	compat.Switch
	service.Service
}

// MakeSwitch returns a switch that is not started, and the address at which its
// transport listens. At the latest when the test ends the switch is stopped and
// the transport is closed; release does it earlier, so that the address can be
// used again.
type MakeSwitch func(t *testing.T, spec SwitchSpec) (sw SwitchNode, addr types.NetAddress, release func())

// MakeNetwork returns what makes the switches of one network. The nodes of
// different networks need not reach each other.
type MakeNetwork func(t *testing.T) MakeSwitch

// Exemption is a promise that an implementation does not keep. Promise is the
// name of the subtest, which is then skipped with Why as the reason.
type Exemption struct {
	Promise string // for example "Receive/NoneAfterRemovePeer"
	Why     string
}
