package adapter

import (
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var (
	_ compat.PeerBehavior    = (*behavior)(nil)
	_ compat.PeerAdmission   = (*behavior)(nil)
	_ compat.PeerExemption   = (*behavior)(nil)
	_ compat.ConnAdmission   = (*behavior)(nil)
	_ compat.ConnReservation = (*behavior)(nil)
	_ compat.DialAdmission   = (*behavior)(nil)
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
func (b *behavior) IsPrivatePeer(id types.ID) bool { return b.sw.lists.private[id] }

// IsExemptPeer implements compat.PeerExemption.
func (b *behavior) IsExemptPeer(id types.ID) bool { return b.sw.lists.isExempt(id) }

// AdmitPeer implements compat.PeerAdmission. It reports a refused inbound peer to
// subscribers; a failed dial has an event of its own.
func (b *behavior) AdmitPeer(conn compat.ConnInfo, _ types.NodeInfo) error {
	id := conn.SocketAddr.ID
	who := b.sw.candidate(id, conn.Outbound, conn.RemoteIP, conn.DelegatedBy)
	who.presentedAt(conn.SeenAt, b.sw.lists)
	err := b.sw.registry.admissible(who)
	if err == nil && conn.Again {
		err = b.sw.chargeAgain(who)
	}
	switch {
	case err == nil:
	case conn.Outbound:
		b.sw.restIfTaken(id, conn.RemoteIP)
	default:
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
func (b *behavior) AdmitConn(remoteIP net.IP) error {
	ip := netgroup.FromIP(remoteIP)
	if b.sw.lists.isBlockedIP(ip) {
		return errBlocked
	}
	if err := b.sw.chargeConn(b.sw.candidate("", false, remoteIP, "")); err != nil {
		return err
	}

	return b.sw.admissibleFrom(remoteIP)
}

// AdmitDial implements compat.DialAdmission.
func (b *behavior) AdmitDial(ip net.IP) error {
	if b.sw.lists.isBlockedIP(netgroup.FromIP(ip)) {
		return errBlockedIP
	}

	return nil
}

// announceChannels makes the transport announce exactly the channels of the reactors. A
// switch without reactors changes nothing.
func (sw *MultiplexSwitch) announceChannels() error {
	announcer, ok := sw.transport.(compat.ChannelAnnouncer)
	if !ok || len(sw.behavior.channels) == 0 {
		return nil
	}
	served := make([]byte, 0, len(sw.behavior.channels))
	for _, d := range sw.behavior.channels {
		served = append(served, d.ID)
	}
	former, err := announcer.AnnounceChannels(served)
	if err != nil {
		return fmt.Errorf("announce the channels of the reactors: %w", err)
	}
	missing, unserved := without(served, former), without(former, served)
	if len(missing)+len(unserved) > 0 {
		sw.Logger.Warn("node info did not name the channels of the reactors and was corrected",
			"added", fmt.Sprintf("%#02x", missing), "removed", fmt.Sprintf("%#02x", unserved))
	}

	return nil
}

// without returns the channels of a that are not in b.
func without(a, b []byte) []byte {
	return slices.DeleteFunc(slices.Clone(a), func(ch byte) bool { return slices.Contains(b, ch) })
}
