// Package process has the processes of a measurement of package scale: the hub, and the leaves.
// It knows no stack, so that programs whose dependencies conflict with those of this module can
// be measured like its own.
package process

import (
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
)

// Config configures a node. Everything else is as the default configuration of its stack says.
type Config struct {
	Stack  string
	Key    []byte // of the node, an Ed25519 private key of 64 bytes
	Listen string // ID@IP:port, with the ID that TM2 gives the key
	Dial   string // the hub, ID@IP:port; "" for the hub itself
	HubKey []byte // the Ed25519 public key of the hub
	// MaxInbound is how many inbound peers the node takes; 0 is the stack's default.
	MaxInbound uint64
}

// Node is what the hub and each leaf are.
type Node interface {
	Start() error
	Close() error
	Broadcast(channel byte, msg []byte)
}

// NewNode makes a node that tells the observer of its peers and messages.
type NewNode func(Config, *Observer) (Node, error)

// Roles returns the roles of child processes whose nodes newNode makes (child.Main).
func Roles(newNode NewNode) map[string]child.Role {
	return map[string]child.Role{HubRole: newNode.runHub, LeavesRole: newNode.runLeaves}
}

// Observer counts the peers of a node and passes on its messages. Its methods may be called
// from several goroutines.
type Observer struct {
	on      func(msg []byte) // nil drops messages
	changed func(peers int)  // called with each change, one at a time; nil if nobody listens

	mtx   sync.Mutex
	peers int
}

// Received takes a message that has come from a peer.
func (o *Observer) Received(msg []byte) {
	if o.on != nil {
		o.on(msg)
	}
}

// Change counts peers that have come, or gone where by is negative.
func (o *Observer) Change(by int) {
	o.mtx.Lock()
	defer o.mtx.Unlock()
	o.peers += by
	if o.changed != nil {
		o.changed(o.peers)
	}
}

func (o *Observer) count() int {
	o.mtx.Lock()
	defer o.mtx.Unlock()

	return o.peers
}
