package compattest

import (
	"testing"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The channels of the nodes of the suites.
const (
	ChannelA byte = 0x20
	ChannelB byte = 0x21
)

// patience bounds every wait of the suites. No test waits until it has passed.
const patience = time.Minute

// Spec describes a node that a suite needs: its key and its NodeInfo. The node listens on
// the IP of Info.NetAddress, and on its port or, if that is zero, on any free port.
type Spec struct {
	Key  types.NodeKey
	Info types.NodeInfo
}

// MakePair returns two transports that listen and can reach each other. Its cleanup closes
// them and waits for their goroutines.
type MakePair func(t *testing.T, a, b Spec) (compat.Transport, compat.Transport)

// SwitchSpec describes a node with a switch that a suite needs.
type SwitchSpec struct {
	Spec
	Reactors         []NamedReactor // in this order
	PersistentPeers  []*types.NetAddress
	PrivatePeers     []types.ID
	MaxInboundPeers  uint64
	MaxOutboundPeers uint64
	AllowDuplicateIP bool

	// SeedUptime makes the node a seed if it is positive: it keeps a peer for that long.
	SeedUptime time.Duration
	// Only TestCrossedDials sets these two: the time for a dial, and what returns the transport
	// that the switch uses in place of its own.
	DialTimeout   time.Duration
	WrapTransport func(compat.Transport) compat.Transport
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

// MakeSwitch returns a switch that is not started, and the address at which its transport
// listens. release stops the switch and closes the transport, so that the address can be
// used again. MakeSwitch also calls it at the end of the test.
type MakeSwitch func(t *testing.T, spec SwitchSpec) (sw SwitchNode, addr types.NetAddress, release func())

// MakeNetwork returns a function that makes the switches of one network. Nodes of
// different networks need not be able to reach each other.
type MakeNetwork func(t *testing.T) MakeSwitch

// Exemption names a promise that an implementation does not keep, or that another run of
// the suite shows of the same code. The suite skips its subtest with the reason.
type Exemption struct {
	Promise string // for example "Receive/NoneAfterRemovePeer"
	Why     string
}
