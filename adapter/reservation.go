package adapter

import (
	"net"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// ReservesConn implements compat.ConnReservation. A persistent peer is known at its
// configured IP. That of an unconditional peer, or of a host name, is known after the first
// connection.
func (b *behavior) ReservesConn(remoteIP net.IP) bool {
	return b.sw.lists.reserves(netgroup.Host(netgroup.FromIP(remoteIP)))
}

// reserves reports whether an exempt peer that is not blocked is configured at the host, or
// was connected from there last.
func (l *peerLists) reserves(host netip.Prefix) bool {
	if !host.IsValid() {
		return false
	}
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	for id, addr := range l.persistent {
		if !l.blocked[id] && (l.hosts[id].own == host || netgroup.Host(netgroup.FromIP(addr.IP)) == host) {
			return true
		}
	}
	for id := range l.unconditional {
		if !l.blocked[id] && l.hosts[id].own == host {
			return true
		}
	}

	return false
}

// noteHost notes from where a peer is connected if it is exempt. presented says that another
// node presents it from there.
func (l *peerLists) noteHost(id types.ID, host netip.Prefix, presented bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	if _, persistent := l.persistent[id]; !persistent && !l.unconditional[id] {
		return
	}
	h := l.hosts[id]
	h.any = host
	if !presented {
		h.own = host
	}
	l.hosts[id] = h
}
