package adapter

import (
	"errors"
	"math/rand/v2"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The time that a doubted connection has to prove that it lives: twice what a
// remote may take to remove a former connection before it begins to use this one,
// and up to a third more, so that two nodes that give a connection up do not dial
// each other in step again.
const (
	doubtTimeout = 2 * formerTimeout
	doubtJitter  = doubtTimeout / 3
)

// doubt makes the connection prove that the remote uses it, if the stack can. A
// TM2 node of v1.2.0 to v1.4.0 keeps the first of two crossed connections, and
// leaves one that it has dialed and does not use open (docs/wire.md §4.5).
func (c *connection) doubt() {
	if prober, ok := c.conn.(compat.LivenessProber); ok {
		prober.ProbeAlive(doubtTimeout + rand.N(doubtJitter))
	}
}

// doubtDuplicate doubts the connection for which another one of the same peer was
// refused: the peer, which has proved its ID, seems not to know that it has one.
func (sw *MultiplexSwitch) doubtDuplicate(id types.ID, refusal error) {
	var reject *compat.RejectError
	if !errors.As(refusal, &reject) || reject.Code != compat.RejectDuplicate {
		return
	}
	if c := sw.registry.find(id); c != nil {
		c.doubt()
	}
}

// find returns the connection that has the ID, or nil.
func (r *registry) find(id types.ID) *connection {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.byID[id]
}
