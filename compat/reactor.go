package compat

import "github.com/tm2-libp2p/tm2-libp2p/compat/service"

// Reactor handles the messages of some channels for every peer of a switch. The switch calls
// SetSwitch, starts all reactors and then admits peers. It removes all peers before it stops
// the reactors.
type Reactor interface {
	service.Service

	// SetSwitch tells the reactor its switch, before Start.
	SetSwitch(sw Switch)

	// GetChannels returns the reactor's channels. It is called once, when the switch is
	// built. No other reactor of the switch has these IDs.
	GetChannels() []*ChannelDescriptor

	// InitPeer prepares a peer before it is started. What it returns is the peer from
	// then on. RemovePeer always follows. It follows without AddPeer if the peer does not
	// start, is stopped before, or a later reactor's InitPeer panics or returns nil.
	InitPeer(peer PeerConn) PeerConn

	// AddPeer announces a started peer that is in the set.
	AddPeer(peer PeerConn)

	// RemovePeer announces that the peer is stopped, and why. It is called once for each
	// InitPeer that has returned, with the peer that the last InitPeer returned. A reactor
	// releases here what it keeps for the peer.
	RemovePeer(peer PeerConn, reason any)

	// Receive handles one message, which is never empty. The caller reuses the slice when
	// Receive returns. One Receive runs at a time for each peer. A panic ends that peer
	// only.
	Receive(chID byte, peer PeerConn, msg []byte)
}

// BaseReactor implements Reactor by doing nothing. A reactor embeds it and overrides what it
// needs.
type BaseReactor struct {
	service.BaseService

	// Switch is set by SetSwitch before the reactor is started.
	Switch Switch
}

// NewBaseReactor returns a BaseReactor that calls the OnStart and OnStop of impl.
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
