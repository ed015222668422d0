package compat

import (
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// Reactor handles the messages of one or more channels for every peer of a
// switch. The switch sets itself by SetSwitch, starts all reactors, and only
// then lets peers in; when it stops, it removes the peers first.
type Reactor interface {
	service.Service

	// SetSwitch tells the reactor its switch, before Start.
	SetSwitch(sw Switch)

	// GetChannels returns the reactor's channels. IDs are unique within a
	// switch. It is called once, when the switch is built.
	GetChannels() []*ChannelDescriptor

	// InitPeer prepares a peer before it is started; what it returns is the
	// peer from then on. Once it has returned, RemovePeer follows in any case:
	// also when the peer fails to start, is stopped before, or a later reactor
	// panics in InitPeer or returns nil. AddPeer does not come then.
	InitPeer(peer PeerConn) PeerConn

	// AddPeer announces a started peer that is in the set.
	AddPeer(peer PeerConn)

	// RemovePeer announces that the peer is stopped, and why. It is called once
	// for each InitPeer that has returned, after AddPeer if that came, with the
	// peer that the last InitPeer returned. What a reactor keeps for the peer
	// outside of it (PeerConn.Set) is given back here.
	RemovePeer(peer PeerConn, reason any)

	// Receive handles one message, which is never empty. The slice belongs to
	// the caller again when Receive returns. While it runs, no other message of
	// the same peer is delivered. A panic ends that peer and nothing else.
	Receive(chID byte, peer PeerConn, msg []byte)
}

// BaseReactor implements Reactor by doing nothing; a reactor embeds it and
// overrides what it needs.
type BaseReactor struct {
	service.BaseService

	// Switch is set by SetSwitch before the reactor is started.
	Switch Switch
}

// NewBaseReactor returns a BaseReactor whose OnStart and OnStop are those of
// impl.
func NewBaseReactor(name string, impl Reactor) *BaseReactor {
	return &BaseReactor{BaseService: *service.NewBaseService(nil, name, impl)}
}

// SetSwitch keeps the switch.
func (br *BaseReactor) SetSwitch(sw Switch) { br.Switch = sw }

// GetChannels returns no channels.
func (*BaseReactor) GetChannels() []*ChannelDescriptor { return nil }

// InitPeer returns the peer unchanged.
func (*BaseReactor) InitPeer(peer PeerConn) PeerConn { return peer }

// AddPeer does nothing.
func (*BaseReactor) AddPeer(PeerConn) {}

// RemovePeer does nothing.
func (*BaseReactor) RemovePeer(PeerConn, any) {}

// Receive drops the message.
func (*BaseReactor) Receive(byte, PeerConn, []byte) {}
