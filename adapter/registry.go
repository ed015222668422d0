package adapter

import (
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// registry holds the reserved IDs: every connection from its admission until
// after its removal. Whether a connection may come in is decided under its lock.
type registry struct {
	maxInbound, maxOutbound uint64 // not changed once the switch is built

	mtx      sync.Mutex
	closed   bool
	byID     map[types.ID]*connection
	inbound  uint64 // connections in byID
	outbound uint64
}

// candidate is a connection that asks to come in.
type candidate struct {
	self, id types.ID
	outbound bool
	exempt   bool // from the limits
}

// judge returns nil when the candidate may come in, else a *compat.RejectError,
// and the connection that has to be gone first. The caller holds the lock.
func (r *registry) judge(c candidate) (former *connection, err error) {
	if r.closed {
		return nil, errStopping
	}
	if c.id == c.self {
		return nil, compat.Reject(compat.RejectSelf, "")
	}
	former = r.byID[c.id]
	if former != nil && !former.isClosed() && !c.replaces(former) {
		return nil, compat.Reject(compat.RejectDuplicate, "connected already")
	}
	if !c.exempt && r.full(c, former) {
		return nil, compat.Reject(compat.RejectFull, "no slot left")
	}

	return former, nil
}

// replaces decides between two connections to one peer: of two in opposite
// directions the one dialed by the lower ID stays.
func (c candidate) replaces(former *connection) bool {
	return c.outbound != former.outbound && c.outbound == (c.self < c.id)
}

// full reports whether the candidate's direction has no slot left; the slot of
// its former connection in that direction is its own.
func (r *registry) full(c candidate, former *connection) bool {
	used, limit := r.inbound, r.maxInbound
	if c.outbound {
		used, limit = r.outbound, r.maxOutbound
	}
	if former != nil && former.outbound == c.outbound {
		used--
	}

	return used >= limit
}

// may is judge without effect.
func (r *registry) may(c candidate) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	_, err := r.judge(c)

	return err
}

// reserve takes the ID for the connection, or returns the connection that has
// to be gone first, or the refusal.
func (r *registry) reserve(conn *connection, c candidate) (former *connection, err error) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	former, err = r.judge(c)
	if former != nil || err != nil {
		return former, err
	}
	r.byID[conn.id] = conn
	*r.counter(conn)++

	return nil, nil
}

// release gives the connection's ID and slot back.
func (r *registry) release(conn *connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	delete(r.byID, conn.id)
	*r.counter(conn)--
}

func (r *registry) counter(conn *connection) *uint64 {
	if conn.outbound {
		return &r.outbound
	}

	return &r.inbound
}

// has reports whether the ID is reserved by a connection that is not on its way
// out: who hears of a removal may dial at once.
func (r *registry) has(id types.ID) bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	c := r.byID[id]

	return c != nil && !c.isClosed()
}

// outboundFull reports whether every outbound slot is taken.
func (r *registry) outboundFull() bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.outbound >= r.maxOutbound
}

// close refuses everybody from now on and returns who is in.
func (r *registry) close() []*connection {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.closed = true
	conns := make([]*connection, 0, len(r.byID))
	for _, c := range r.byID {
		conns = append(conns, c)
	}

	return conns
}
