package adapter

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// These refusals have no details, so that judging a candidate does not allocate.
var (
	errSelf = compat.Reject(compat.RejectSelf,
		"it has this node's ID: the node has dialed itself, or another node uses a copy of its node key")
	errConnected = compat.Reject(compat.RejectDuplicate, "connected already")
	errAwaited   = compat.Reject(compat.RejectDuplicate, "another connection of the peer waits to be admitted")
)

// registry holds the reserved IDs: those of all connections from their admission until
// after their removal. Its lock makes each decision about a candidate atomic.
type registry struct {
	// Not changed once the switch is built.
	limits           [3]uint64 // of the slots, by kind
	allowDuplicateIP bool
	ghostAge         time.Duration
	lists            *peerLists
	conduct          *conduct.Book

	mtx     sync.Mutex
	closed  bool
	byID    map[types.ID]*connection
	spots   map[spot][trusts]uint64 // connections in byID, by where they are and who says so
	taken   [3]uint64               // slots, by kind; that of slotNone is not used
	awaited map[types.ID]bool       // IDs of newcomers that wait for the end of a connection
	evicts  bool                    // one of them waits for a peer that gives way; see eviction.go
	shares  sharer                  // the bridge that presents that one, if any
}

// slot is what a connection takes up of the limits.
type slot uint8

const (
	slotNone slot = iota
	slotInbound
	slotOutbound
)

// candidate is a connection that asks for admission.
type candidate struct {
	self, id  types.ID
	outbound  bool
	host      netip.Prefix // not valid when the remote IP is not known
	place     place
	exempt    bool         // from the limits
	uncounted bool         // takes no slot
	guarded   bool         // must be the only peer of its host
	blocked   bool         // an operator has blocked its IP
	answers   netip.Prefix // the host, if it answers for what comes from it
	delegate  types.ID     // the node that presents it, if any
	byExempt  bool         // that node is exempt
	crosses   bool         // a dial of this node, see dialer.crosses
	tries     bool         // may take the place of an outbound peer
	held      slot         // taken over from the connection that it replaces
	waits     bool         // for the end of a connection
	evicts    bool         // that connection is another peer's
}

// own is the slot of the candidate's direction.
func (c candidate) own() slot {
	if c.outbound {
		return slotOutbound
	}

	return slotInbound
}

// judge returns the slot that the candidate may take and the connection that must be
// removed first, or a *compat.RejectError. The caller holds the lock.
func (r *registry) judge(c candidate) (taken slot, former *connection, err error) {
	if r.closed {
		return slotNone, nil, errStopping
	}
	if c.id == c.self {
		return slotNone, nil, errSelf
	}
	if c.blocked || r.lists.isBlocked(c.id) || r.lists.isBlocked(c.delegate) {
		return slotNone, nil, errBlocked
	}
	if !c.exempt {
		if err := r.conduct.Refusal(c.id, c.answers); err != nil {
			return slotNone, nil, err
		}
	}
	former = r.byID[c.id]
	if former != nil && !former.isClosed() && !c.replaces(former) {
		return slotNone, nil, errConnected
	}
	if r.awaited[c.id] && !c.waits && !c.outbound {
		return slotNone, nil, errAwaited // outbound ones take no place in the accept loop
	}
	taken, loser, err := r.place(c, former)
	if former == nil {
		former = loser
	}

	return taken, former, err
}

// place returns the slot that the candidate may take, also that of its former connection,
// and the peer that loses its slot to it, if any. The caller holds the lock.
func (r *registry) place(c candidate, former *connection) (taken slot, loser *connection, err error) {
	taken, noSlot := r.findSlot(c, former)
	noHost, noShare := r.checkHost(c, former), r.checkShare(c, former)
	full := noSlot
	if noShare != nil && noHost == nil {
		full, loser = cmp.Or(noSlot, noShare), r.findSharer(c)
	} else if noSlot != nil {
		loser = r.findLoser(c)
	}
	if full != nil {
		if loser == nil {
			return slotNone, nil, full
		}
		taken = c.own()
	}
	if noHost != nil && c.crosses && netgroup.IsLocal(c.host.Addr()) && r.taken[slotOutbound] < r.limits[slotOutbound] {
		// The dial that it crosses would be admitted beside the other peer of the host.
		return slotOutbound, nil, nil
	}

	return taken, loser, noHost
}

// wouldAdmit returns why the candidate would be refused now, or nil. It passes a candidate
// whose former connection may be a ghost, since that is only known after a probe. The caller
// holds the lock.
func (r *registry) wouldAdmit(c candidate) error {
	_, _, err := r.judge(c)
	if former := r.suspect(c.id); former != nil && err == errConnected {
		_, _, err = r.place(c, former)
	}

	return err
}

// replaces decides between two connections to one peer: of two in opposite
// directions the one dialed by the lower ID stays.
func (c candidate) replaces(former *connection) bool {
	return c.outbound != former.outbound && c.outbound == (c.self < c.id)
}

// findSlot refuses a candidate for which no slot is left. A candidate may use the slot
// of the connection that it replaces, whatever its direction: two nodes that dial each
// other must end with one connection even if its direction is full on one of them. For
// the same reason an inbound peer that crosses a dial to its own host may use the outbound
// slot that the dial would have taken.
func (r *registry) findSlot(c candidate, former *connection) (slot, error) {
	own := c.own()
	used, limit := r.taken[own], r.limits[own]
	if former != nil && former.slot == own {
		used--
	}
	switch {
	case c.uncounted:
		return slotNone, nil
	case c.held != slotNone:
		return c.held, nil
	case c.exempt, used < limit:
		return own, nil
	case former != nil && former.slot != slotNone:
		return former.slot, nil
	case c.crosses && r.taken[slotOutbound] < r.limits[slotOutbound]:
		return slotOutbound, nil
	default:
		direction := [...]string{slotInbound: "inbound", slotOutbound: "outbound"}[own]

		return slotNone, compat.Reject(compat.RejectFull,
			"all %d %s slots are taken, and neither max_num_%s_peers nor unconditional_peer_ids leaves one",
			limit, direction, direction)
	}
}

// checkHost refuses a guarded candidate while another peer of its host is connected, as far as
// that is known as well as for the candidate. The peer of a connection that this node has
// dialed passes, whichever connection stays.
func (r *registry) checkHost(c candidate, former *connection) error {
	welcome := c.held == slotOutbound || (former != nil && former.outbound)
	if !c.guarded || welcome || r.allowDuplicateIP || !c.place.host.IsValid() || r.othersAt(c.place, former) == 0 {
		return nil
	}

	return compat.Reject(compat.RejectFull,
		"another peer from %s is connected, and neither allow_duplicate_ip nor unconditional_peer_ids lets this one in",
		netgroup.Name(c.place.host))
}

// admissible returns why the candidate would be refused now, or nil.
func (r *registry) admissible(c candidate) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.wouldAdmit(c)
}

// anyAdmissible reports whether any peer that connects from the stranger's host could be
// admitted: the stranger, an exempt peer, or a connected peer that reconnects. If none
// could, it returns the refusal of the stranger.
func (r *registry) anyAdmissible(stranger candidate, exempt []candidate) error {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	refusal := r.wouldAdmit(stranger)
	if refusal == nil || r.closed {
		return refusal
	}
	for _, c := range exempt {
		if r.wouldAdmit(c) == nil {
			return nil
		}
	}
	again := stranger
	for id, c := range r.byID {
		// An open one gives way only to one of its own host: a full node must not admit connections
		// from everywhere.
		if again.id = id; (c.isClosed() || c.host == stranger.host) && r.wouldAdmit(again) == nil {
			return nil
		}
	}

	return refusal
}

// reserve takes the ID for the connection, or returns the connection that must be
// removed first, or the refusal. A slot of the other direction, or of another peer, passes
// to the candidate at once, so that no other connection takes it during the removal. The
// caller ends the wait for the removal by endReserve.
func (r *registry) reserve(conn *connection, c *candidate) (former *connection, err error) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	taken, former, err := r.judge(*c)
	if err != nil {
		return nil, err
	}
	if former != nil {
		evicted := former.id != c.id
		// One that has waited for another connection holds a slot already: that of this one is freed.
		if c.held == slotNone && (evicted || taken == former.slot && taken != c.own()) {
			c.held, former.slot = taken, slotNone
		}
		if evicted {
			r.evicts, r.shares, c.evicts = true, sharer{c.delegate, c.host}, true
		}
		if !c.outbound {
			r.awaited[c.id], c.waits = true, true
		}

		return former, nil
	}
	// It may take another slot than the one that it holds, since both may have changed while it waited.
	r.taken[taken]++
	r.taken[c.held]--
	conn.host, conn.place, conn.slot, conn.evicted, c.held = c.host, c.place, taken, c.evicts, slotNone
	conn.networks = c.networks()
	r.byID[conn.id] = conn
	r.occupy(conn.place)
	r.lists.noteHost(c.id, c.host, c.delegate != "")

	return nil, nil
}

// endReserve ends the wait of a candidate. If it was refused, it returns the slot that it
// holds.
func (r *registry) endReserve(c candidate) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.taken[c.held]--
	if c.waits {
		delete(r.awaited, c.id)
	}
	if c.evicts {
		r.evicts, r.shares = false, sharer{}
	}
}

// of returns the connections of the peer and of those that it presents.
func (r *registry) of(id types.ID) (conns []*connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for _, c := range r.byID {
		if c.id == id || compat.Delegate(c.conn) == id {
			conns = append(conns, c)
		}
	}

	return conns
}

// vacate frees the connection's slot and its place at its host. The ID stays reserved
// until release.
func (r *registry) vacate(conn *connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.leave(conn.place)
	conn.host, conn.place = netip.Prefix{}, place{}
	r.taken[conn.slot]--
	conn.slot = slotNone
}

// release frees the ID of a connection that has vacated its slot.
func (r *registry) release(conn *connection) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	delete(r.byID, conn.id)
}

// has reports whether the ID is reserved by an open connection. A closed one that is
// still being removed does not count, so that a subscriber that learns of the removal
// can dial at once.
func (r *registry) has(id types.ID) bool {
	c := r.get(id)

	return c != nil && !c.isClosed()
}

// get returns the connection that has reserved the ID, or nil.
func (r *registry) get(id types.ID) *connection {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.byID[id]
}

// isTaken reports whether another peer has the one place of the host.
func (r *registry) isTaken(host netip.Prefix, id types.ID) bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	at := place{spot{host: host}, proved}

	return host.IsValid() && !r.allowDuplicateIP && r.othersAt(at, r.byID[id]) > 0
}

// outboundFull reports whether every outbound slot is taken.
func (r *registry) outboundFull() bool {
	taken, limit := r.outboundSlots()

	return taken >= limit
}

// outboundSlots returns how many outbound slots are taken, and how many there are.
func (r *registry) outboundSlots() (taken, limit uint64) {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.taken[slotOutbound], r.limits[slotOutbound]
}

// close makes the registry refuse every further candidate and returns all connections.
func (r *registry) close() []*connection {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.closed = true

	return slices.Collect(maps.Values(r.byID))
}

// candidate describes a peer that asks for admission. The delegate is the node that
// presents it, if any. Such a peer has the delegate's IP, so the guard spares it when it
// spares the delegate, unless presentedAt tells the guard more. Only a peer that presents itself can cross a dial: the IDs that a
// delegate presents cost it nothing.
func (sw *MultiplexSwitch) candidate(id types.ID, outbound bool, remoteIP net.IP, delegate types.ID) candidate {
	exempt, byExempt := sw.lists.isExempt(id), sw.lists.isExempt(delegate)
	ip := netgroup.FromIP(remoteIP)
	host := netgroup.Host(ip)
	var answers netip.Prefix
	if !byExempt {
		answers = sw.accountable(host)
	}

	return candidate{
		self:      sw.self(),
		id:        id,
		outbound:  outbound,
		host:      host,
		place:     place{spot{host: host}, proved},
		exempt:    exempt,
		delegate:  delegate,
		byExempt:  byExempt,
		uncounted: sw.lists.unconditional[id],
		guarded:   (!outbound || !netgroup.IsLocal(ip)) && !exempt && !byExempt,
		blocked:   sw.lists.isBlockedIP(ip),
		answers:   answers,
		crosses:   !outbound && delegate == "" && sw.dials.crosses(id, host),
		tries:     outbound && sw.dials.tries(id),
	}
}

// admissibleFrom returns nil if an inbound connection from the IP could be admitted now,
// whichever peer made it, and otherwise the refusal. It does not block. Exempt peers may
// come from any IP and, as delegates, present others. A peer that this node is dialing
// does not count: its own dial fails then, and the one of this node stays.
func (sw *MultiplexSwitch) admissibleFrom(ip net.IP) error {
	var exempt []candidate
	for _, id := range sw.lists.exempt() {
		exempt = append(exempt, sw.candidate(id, false, ip, ""))
	}
	stranger := sw.candidate("", false, ip, "")
	stranger.guarded = len(exempt) == 0

	return sw.registry.anyAdmissible(stranger, exempt)
}
