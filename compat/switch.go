package compat

import (
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Switch is what a reactor sees of the peer-to-peer layer. All methods may be
// called concurrently, also from Receive.
type Switch interface {
	// Broadcast queues the message for every peer that knows the channel. It
	// neither blocks nor delivers on the caller's goroutine, and keeps the
	// order of calls for each peer and channel. The slice is shared by all
	// peers and must not be changed afterwards.
	Broadcast(chID byte, data []byte)

	// Peers returns the live set of peers.
	Peers() PeerSet

	// Subscribe registers for the events that pass the filter; a nil filter
	// passes all. The channel is buffered and lossy: a subscriber that does not
	// read misses events and blocks nobody. The returned function ends the
	// subscription and closes the channel; it may be called more than once.
	Subscribe(filterFn events.EventFilter) (<-chan events.Event, func())

	// StopPeerForError stops the peer and removes it, with the reason. It may
	// be called from Receive of that peer, concurrently and repeatedly; only the
	// first call counts.
	StopPeerForError(peer PeerConn, err error)

	// DialPeers queues addresses to dial and returns at once; the outcome is
	// told by events. It may be called before the switch was started.
	DialPeers(peerAddrs ...*types.NetAddress)
}
