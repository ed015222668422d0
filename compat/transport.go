package compat

import (
	"context"
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ErrTransportClosed is returned by Accept and Dial of a closed transport. It may be wrapped.
var ErrTransportClosed = errors.New("transport is closed")

// ErrInvalidOption is wrapped by the error about an option that cannot be used. The
// constructor returns it, or Start, Listen or Dial if the constructor returns no error.
var ErrInvalidOption = errors.New("invalid option")

// Transport makes verified connections: the peers that it returns have proved their ID, have
// a valid and compatible NodeInfo, and are not started. All methods may be called
// concurrently.
type Transport interface {
	// NetAddress is the address at which the transport listens, with the ID of
	// the node.
	NetAddress() types.NetAddress

	// Accept waits for an inbound peer, whatever remotes fail their handshakes. It returns
	// ctx.Err() when the context ends and ErrTransportClosed after Close.
	Accept(ctx context.Context, behavior PeerBehavior) (PeerConn, error)

	// Dial connects to the address and verifies that the remote owns its ID.
	// ClassifyDial tells what its error means.
	Dial(ctx context.Context, addr types.NetAddress, behavior PeerBehavior) (PeerConn, error)

	// Remove releases what the transport holds for the peer and closes its connection. It
	// may be called more than once, and for a peer that was never started.
	Remove(peer PeerConn)
}

// PeerBehavior is what a transport needs to know of the switch it serves.
type PeerBehavior interface {
	// ReactorChDescriptors returns the channels of all reactors.
	ReactorChDescriptors() []*ChannelDescriptor
	// Reactors maps each channel to the reactor that receives from it.
	Reactors() map[byte]Reactor
	// HandlePeerError makes the switch stop and remove a started peer that has failed. It
	// may be called on the goroutine that delivers messages, and more than once.
	HandlePeerError(peer PeerConn, err error)
	// IsPersistentPeer reports whether the switch redials the peer.
	IsPersistentPeer(id types.ID) bool
	// IsPrivatePeer reports whether the peer must not be told to others.
	IsPrivatePeer(id types.ID) bool
}
