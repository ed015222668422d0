package adapter

import (
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/host"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Refusals that need no words of their own: judging costs nothing then.
var (
	errSelf      = compat.Reject(compat.RejectSelf, "")
	errConnected = compat.Reject(compat.RejectDuplicate, "connected already")
)

// registry holds the reserved IDs: every connection from its admission until
// after its removal. Whether a connection may come in is decided under its lock.
type registry struct {
	// Not changed once the switch is built.
	maxInbound, maxOutbound uint64
	allowDuplicateIP        bool

	mtx      sync.Mutex
	closed   bool
	byID     map[types.ID]*connection
	hosts    map[netip.Prefix]uint64 // connections in byID that have not vacated, by their host
	inbound  uint64                  // of those the ones that take a slot
	outbound uint64
}

// candidate is a connection that asks to come in.
type candidate struct {
	self, id  types.ID
	outbound  bool
	host      netip.Prefix // not valid when the remote IP is not known
	exempt    bool         // from the limits
	uncounted bool         // takes no slot
	guarded   bool         // must be the only peer of its host
}

// judge returns nil when the candidate may come in, else a *compat.RejectError,
// and the connection that has to be gone first. The caller holds the lock.
func (r *registry) judge(c candidate) (former *connection, err error) {
	if r.closed {
		return nil, errStopping
	}
	if c.id == c.self {
		return nil, errSelf
	}
	former = r.byID[c.id]
	if former != nil && !former.isClosed() && !c.replaces(former) {
		return nil, errConnected
	}
	if err := r.checkLimit(c, former); err != nil {
		return nil, err
	}
	if err := r.checkHost(c, former); err != nil {
		return nil, err
	}

	return former, nil
}

// replaces decides between two connections to one peer: of two in opposite
// directions the one dialed by the lower ID stays.
func (c candidate) replaces(former *connection) bool {
	return c.outbound != former.outbound && c.outbound == (c.self < c.id)
}

// checkLimit refuses a candidate whose direction has no slot left; the slot of
// its former connection in that direction is its own.
func (r *registry) checkLimit(c candidate, former *connection) error {
	if c.exempt {
		return nil
	}
	used, limit, direction := r.inbound, r.maxInbound, "inbound"
	if c.outbound {
		used, limit, direction = r.outbound, r.maxOutbound, "outbound"
	}
	if former != nil && former.outbound == c.outbound && !former.uncounted {
		used--
	}
	if used < limit {
		return nil
	}

	return compat.Reject(compat.RejectFull, "all %d %s slots are taken", limit, direction)
}

// checkHost refuses a guarded candidate while another peer of its host is in.
func (r *registry) checkHost(c candidate, former *connection) error {
	if !c.guarded || r.allowDuplicateIP || !c.host.IsValid() {
		return nil
	}
	others := r.hosts[c.host]
	if former != nil && former.host == c.host {
		others--
	}
	if others == 0 {
		return nil
	}

	return compat.Reject(compat.RejectFull,
		"another peer from %s is connected, and neither allow_duplicate_ip nor unconditional_peer_ids lets this one in",
		host.Name(c.host))
}

// may is judge without effect.
func (r *registry) may(c candidate) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	_, err := r.judge(c)

	return err
}

// mayAnybody is may for everybody who could come from where the stranger does:
// the stranger, those who are exempt, and whoever is in and would come again. It
// returns why the stranger may not if nobody may.
func (r *registry) mayAnybody(stranger candidate, exempt []candidate) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	_, refusal := r.judge(stranger)
	if refusal == nil || r.closed {
		return refusal
	}
	for _, c := range exempt {
		if _, err := r.judge(c); err == nil {
			return nil
		}
	}
	again := stranger
	for again.id = range r.byID {
		if _, err := r.judge(again); err == nil {
			return nil
		}
	}

	return refusal
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
	conn.host, conn.uncounted = c.host, c.uncounted
	r.byID[conn.id] = conn
	r.hosts[conn.host]++
	if !conn.uncounted {
		*r.counter(conn)++
	}

	return nil, nil
}

// vacate gives the connection's slot and its place at its host to others. The ID
// stays reserved until release.
func (r *registry) vacate(conn *connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if r.hosts[conn.host]--; r.hosts[conn.host] == 0 {
		delete(r.hosts, conn.host)
	}
	conn.host = netip.Prefix{}
	if !conn.uncounted {
		*r.counter(conn)--
		conn.uncounted = true
	}
}

// release gives the ID of a connection back that has vacated its slot.
func (r *registry) release(conn *connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	delete(r.byID, conn.id)
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
