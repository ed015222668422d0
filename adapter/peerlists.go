package adapter

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// peerLists are the peers that the configuration of a node names. Those under the lock
// change while the switch runs; see control.go. All methods may be called concurrently.
type peerLists struct {
	// Not changed once the switch is built.
	seeds         map[types.ID]types.NetAddress
	private       map[types.ID]bool
	unconditional map[types.ID]bool
	blockedIPs    []netip.Prefix

	mtx        sync.RWMutex
	persistent map[types.ID]types.NetAddress
	blocked    map[types.ID]bool
	hosts      map[types.ID]exemptHosts
}

// exemptHosts are the hosts from which an exempt peer was connected last.
type exemptHosts struct {
	own netip.Prefix // when it presented itself
	any netip.Prefix // also as a peer that another node presents
}

func newPeerLists() *peerLists {
	return &peerLists{
		seeds:         make(map[types.ID]types.NetAddress),
		private:       make(map[types.ID]bool),
		unconditional: make(map[types.ID]bool),
		persistent:    make(map[types.ID]types.NetAddress),
		blocked:       make(map[types.ID]bool),
		hosts:         make(map[types.ID]exemptHosts),
	}
}

// persistentAddr returns where a persistent peer is dialed.
func (l *peerLists) persistentAddr(id types.ID) (addr types.NetAddress, ok bool) {
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	addr, ok = l.persistent[id]

	return addr, ok
}

func (l *peerLists) isPersistent(id types.ID) bool {
	_, ok := l.persistentAddr(id)

	return ok
}

// persistentIDs returns all persistent peers.
func (l *peerLists) persistentIDs() []types.ID {
	l.mtx.RLock()
	defer l.mtx.RUnlock()

	return slices.Collect(maps.Keys(l.persistent))
}

// setPersistent adds a persistent peer or changes its address.
func (l *peerLists) setPersistent(addr types.NetAddress) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.persistent[addr.ID] = addr
}

func (l *peerLists) removePersistent(id types.ID) (removed bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	_, removed = l.persistent[id]
	delete(l.persistent, id)
	if !l.unconditional[id] {
		delete(l.hosts, id)
	}

	return removed
}

// isExemptHost reports whether an exempt peer was last connected from the host, or a
// persistent one is configured there. A host name counts as the IP that it had when the
// configuration was read.
func (l *peerLists) isExemptHost(host netip.Prefix) bool {
	if !host.IsValid() {
		return false
	}
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	for _, addr := range l.persistent {
		if netgroup.Host(netgroup.FromIP(addr.IP)) == host {
			return true
		}
	}
	for _, h := range l.hosts {
		if h.any == host {
			return true
		}
	}

	return false
}

// isBlockedIP reports whether the IP, or the IPv4 address that it embeds, is in a blocked
// network.
func (l *peerLists) isBlockedIP(ip netip.Addr) bool {
	embedded := netgroup.Embedded(ip)

	return slices.ContainsFunc(l.blockedIPs, func(p netip.Prefix) bool { return p.Contains(ip) || p.Contains(embedded) })
}

// blocksAddress reports whether the address is in a blocked network. Where a host name leads
// shows at each dial, and the peer is refused then if that is a blocked IP.
func (l *peerLists) blocksAddress(addr types.NetAddress) bool {
	return addr.Hostname == "" && l.isBlockedIP(netgroup.FromIP(addr.IP))
}

// whyBlocked says why nobody is dialed at the address, with the key that would change it, or
// returns the empty string.
func (l *peerLists) whyBlocked(addr types.NetAddress) string {
	switch {
	case l.isBlocked(addr.ID):
		return "it is blocked, as by blocked_peers"
	case l.blocksAddress(addr):
		return "its IP is in blocked_ips"
	default:
		return ""
	}
}

// isExempt reports whether neither the limits nor the rule of one peer per IP apply.
func (l *peerLists) isExempt(id types.ID) bool { return l.unconditional[id] || l.isPersistent(id) }

// exempt returns all persistent and unconditional peers. A peer that is both is listed
// twice.
func (l *peerLists) exempt() []types.ID {
	return slices.AppendSeq(l.persistentIDs(), maps.Keys(l.unconditional))
}

func (l *peerLists) isBlocked(id types.ID) bool {
	l.mtx.RLock()
	defer l.mtx.RUnlock()

	return l.blocked[id]
}

// setBlocked blocks or unblocks a peer and reports whether that changed anything.
func (l *peerLists) setBlocked(id types.ID, blocked bool) (changed bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	changed = l.blocked[id] != blocked
	if blocked {
		l.blocked[id] = true
	} else {
		delete(l.blocked, id)
	}

	return changed
}

// blockedIDs returns the blocked peers in order.
func (l *peerLists) blockedIDs() []types.ID {
	l.mtx.RLock()
	defer l.mtx.RUnlock()

	return slices.Sorted(maps.Keys(l.blocked))
}
