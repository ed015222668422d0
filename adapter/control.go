package adapter

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var _ compat.PeerController = (*MultiplexSwitch)(nil)

var (
	// errReconfigured is the cause of a dial that ends because its peer was given another
	// address, or is no longer persistent.
	errReconfigured = errors.New("the configuration of the peer has changed")
	// errBlocked is the reason for refusing and ending connections of a blocked peer. Peers are
	// told it, so it does not say which of the keys names them.
	errBlocked = compat.Reject(compat.RejectBanned, "an operator has blocked the peer, its IP, or the node that presents it (blocked_peers, blocked_ips)")
	// errBlockedIP is the failure of a dial at an IP to which nobody connects.
	errBlockedIP = compat.Reject(compat.RejectBanned, "the IP is in blocked_ips")
)

// AddPersistentPeer implements compat.PeerController.
func (sw *MultiplexSwitch) AddPersistentPeer(addr types.NetAddress) error {
	if err := addr.ID.Validate(); err != nil {
		return fmt.Errorf("persistent peer %q: %w", addr.ID, err)
	}
	addr.ID = addr.ID.Canonical()
	if addr.Hostname == "" && !addr.Dialable() {
		return fmt.Errorf("persistent peer %s: nobody can be dialed at %s", addr.ID, addr.DialString())
	}
	if addr.ID == sw.self() {
		return fmt.Errorf("persistent peer %s is this node", addr.ID)
	}
	if why := sw.lists.whyBlocked(addr); why != "" {
		return fmt.Errorf("persistent peer %s at %s would not be dialed: %s", addr.ID, addr.DialString(), why)
	}
	sw.lists.setPersistent(addr)
	sw.Redial(addr.ID)

	return nil
}

// RemovePersistentPeer implements compat.PeerController.
func (sw *MultiplexSwitch) RemovePersistentPeer(id types.ID) bool {
	id = id.Canonical()
	removed := sw.lists.removePersistent(id)
	if removed {
		sw.dials.cancel(id)
	}

	return removed
}

// Redial implements compat.PeerController.
func (sw *MultiplexSwitch) Redial(id types.ID) bool {
	id = id.Canonical()
	addr, persistent := sw.lists.persistentAddr(id)
	if !persistent || sw.registry.has(id) {
		return false
	}
	if id != sw.self() && sw.lists.whyBlocked(addr) == "" {
		sw.dials.restart(addr)
	}

	return true
}

// BlockPeer implements compat.PeerController.
func (sw *MultiplexSwitch) BlockPeer(id types.ID) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("peer to block %q: %w", id, err)
	}
	id = id.Canonical()
	if !sw.lists.setBlocked(id, true) {
		return nil
	}
	sw.dials.cancel(id)
	// An admission that does not see the peer blocked yet has reserved its ID by now.
	for _, c := range sw.registry.of(id) {
		sw.stop(c, errBlocked)
	}

	return nil
}

// UnblockPeer implements compat.PeerController.
func (sw *MultiplexSwitch) UnblockPeer(id types.ID) bool {
	changed := sw.lists.setBlocked(id.Canonical(), false)
	if changed {
		sw.Redial(id)
	}

	return changed
}

// BlockedPeers implements compat.PeerController.
func (sw *MultiplexSwitch) BlockedPeers() []types.ID { return sw.lists.blockedIDs() }

// cancel forgets the schedule and the queued addresses of a peer, and ends the dial that
// runs, also one of a hint. The end of that dial queues the peer again, at once and at its
// present address, if it is persistent.
func (d *dialer) cancel(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.end(id)
}

// restart is cancel for a persistent peer, which is queued at once unless a dial has to end
// first.
func (d *dialer) restart(addr types.NetAddress) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.end(addr.ID)
	d.queueRedial(addr, stableUptime)
}

// end is cancel. The caller holds the lock.
func (d *dialer) end(id types.ID) {
	d.drop(id)
	delete(d.failures, id)
	if t := d.dialing[id]; t != nil {
		t.cancel(errReconfigured)
	}
}
