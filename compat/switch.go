package compat

import (
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Switch is what a reactor sees of the peer-to-peer layer. All methods may be
// called concurrently, also from Receive.
type Switch interface {
	// Broadcast queues the message for every peer that has the channel. It does not block,
	// and keeps the order of calls for each peer and channel. The caller must not change
	// the slice afterwards, since all peers share it.
	Broadcast(chID byte, data []byte)

	// Peers returns the live set of peers.
	Peers() PeerSet

	// Subscribe registers for the events that pass the filter; a nil filter passes all.
	// A subscriber that does not read misses events and blocks nobody. The returned
	// function ends the subscription and closes the channel; it may be called more than
	// once.
	Subscribe(filterFn events.EventFilter) (<-chan events.Event, func())

	// StopPeerForError stops and removes the peer with the reason. It may be called from
	// Receive of that peer. Only the first call for a peer counts.
	StopPeerForError(peer PeerConn, err error)

	// DialPeers queues addresses to dial and returns at once; events tell the outcome. It
	// may be called before the switch is started.
	DialPeers(peerAddrs ...*types.NetAddress)
}
