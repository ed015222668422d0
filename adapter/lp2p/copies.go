package lp2p

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// noteCopies warns if the peer of a new session has a session on another connection that comes
// from another host. Two bridges that use copies of one node key look like that: libp2p takes
// them for one node, and nothing else shows it. A node that has just moved looks so too, until
// its former connection has timed out.
func (t *Transport) noteCopies(c network.Conn) {
	from := netgroup.Host(ipOf(c.RemoteMultiaddr()))
	for _, other := range t.host.Network().ConnsToPeer(c.RemotePeer()) {
		at := ipOf(other.RemoteMultiaddr())
		if other == c || !from.IsValid() || netgroup.Host(at) == from || at.Is4() != from.Addr().Is4() || !t.sessions.on(other) {
			continue
		}
		t.inbound.Event(slog.LevelWarn, from.Addr(),
			"one node key is in use at two hosts: the node has just moved, or two bridges have copies of one key", "copies",
			"peer", c.RemotePeer(), "hosts", []string{netgroup.Name(from), netgroup.Name(netgroup.Host(at))})

		return
	}
}

// on reports whether a session is active on the connection.
func (ss *sessions) on(c network.Conn) bool {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()
	for _, entry := range ss.entries {
		if entry.session != nil && entry.session.conn == c {
			return true
		}
	}

	return false
}
