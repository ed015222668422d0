package scale

import (
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/probe"
)

// node is what the hub and the leaves are: a switch, or a boundNode.
type node interface {
	Start() error
	Close() error
	Broadcast(channel byte, msg []byte)
}

func newNode(c probe.Config, r *reactor) (node, error) {
	if _, ok := boundSizes[c.Stack]; ok {
		return newBound(c.Stack, c.Listen, c.Dial, r)
	}

	return probe.NewSwitch(c, r)
}
