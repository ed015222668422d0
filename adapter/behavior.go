package adapter

import (
	"maps"
	"net"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	_ compat.PeerBehavior  = (*behavior)(nil)
	_ compat.PeerAdmission = (*behavior)(nil)
	_ compat.ConnAdmission = (*behavior)(nil)
)

// behavior is what transports see of the switch. Its fields do not change once the
// switch is built.
type behavior struct {
	sw       *MultiplexSwitch
	channels []*compat.ChannelDescriptor
	reactors map[byte]compat.Reactor // each behind its gate
}

// ReactorChDescriptors implements compat.PeerBehavior; the slice is the
// caller's.
func (b *behavior) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return slices.Clone(b.channels)
}

// Reactors implements compat.PeerBehavior; the map is the caller's.
func (b *behavior) Reactors() map[byte]compat.Reactor { return maps.Clone(b.reactors) }

// HandlePeerError implements compat.PeerBehavior.
func (b *behavior) HandlePeerError(peer compat.PeerConn, err error) {
	b.sw.StopPeerForError(peer, err)
}

// IsPersistentPeer implements compat.PeerBehavior.
func (b *behavior) IsPersistentPeer(id types.ID) bool { return b.sw.lists.isPersistent(id) }

// IsPrivatePeer implements compat.PeerBehavior.
func (b *behavior) IsPrivatePeer(id types.ID) bool { return b.sw.lists.isPrivate(id) }

// AdmitPeer implements compat.PeerAdmission. It reports a refused inbound peer to
// subscribers; a failed dial has an event of its own.
func (b *behavior) AdmitPeer(conn compat.ConnInfo, _ types.NodeInfo) error {
	id := conn.SocketAddr.ID
	err := b.sw.registry.admissible(b.sw.candidate(id, conn.Outbound, conn.RemoteIP, conn.DelegatedBy))
	if err != nil && !conn.Outbound {
		b.sw.reportRefusal(id, remoteAddr(conn), false, err)
	}

	return err
}

func remoteAddr(conn compat.ConnInfo) net.Addr {
	if conn.Conn != nil {
		return conn.Conn.RemoteAddr()
	}

	return &net.TCPAddr{IP: conn.SocketAddr.IP, Port: int(conn.SocketAddr.Port)}
}

// AdmitConn implements compat.ConnAdmission.
func (b *behavior) AdmitConn(remoteIP net.IP) error { return b.sw.admissibleFrom(remoteIP) }
