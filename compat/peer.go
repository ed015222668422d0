package compat

import (
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// SendTimeout is how long PeerConn.Send waits for a place in the channel's
// queue before it gives up.
const SendTimeout = 10 * time.Second

// PeerConn is one verified peer on one connection. A Transport returns it, and the switch
// starts it. A connection has exactly one PeerConn, so the pointer identifies the connection.
// All methods may be called concurrently.
type PeerConn interface {
	service.Service

	// FlushStop stops the peer once every message that Send and TrySend have accepted is
	// handed to the network, or at the stack's deadline.
	FlushStop()

	// ID is the TM2 ID that the remote proved to own.
	ID() types.ID
	// RemoteIP is the remote's IP address; nil when the stack knows none.
	RemoteIP() net.IP
	// RemoteAddr is the remote end of the underlying connection.
	RemoteAddr() net.Addr

	// IsOutbound reports whether this side dialed.
	IsOutbound() bool
	// IsPersistent reports whether the switch redials this peer, as of the handshake: a
	// PeerController may change it later.
	IsPersistent() bool
	// IsPrivate reports whether this peer must not be told to others.
	IsPrivate() bool

	// CloseConn closes the underlying connection at once, without flushing, also of a
	// peer that was never started.
	CloseConn() error

	// NodeInfo is what the remote told about itself in the handshake. Its NetAddress is
	// never nil. The caller must not change what it points to.
	NodeInfo() types.NodeInfo
	// Status is a snapshot of the traffic.
	Status() ConnectionStatus
	// SocketAddr is the remote's ID with the IP and port of the connection, never nil.
	SocketAddr() *types.NetAddress

	// Send queues a message on a channel and waits at most SendTimeout for a place in the
	// queue. If it returns true, the message is delivered unless the connection ends. It
	// returns false at once if the peer is not running, the message is empty, or the
	// remote's NodeInfo does not list the channel. The caller must not change the slice
	// afterwards; it may be shared with other peers.
	Send(chID byte, msg []byte) bool
	// TrySend is Send without waiting: false when the queue is full.
	TrySend(chID byte, msg []byte) bool

	// Set and Get keep values of the reactors with the connection. Get returns nil for an
	// unknown key.
	Set(key string, value any)
	Get(key string) any
}

// PeerSet holds the peers of a switch. All methods may be called concurrently.
type PeerSet interface {
	// Add puts a peer into the set; a peer whose ID is already there is ignored.
	Add(peer PeerConn)
	// Remove takes out the peer with the ID and reports whether there was one.
	Remove(key types.ID) bool
	// Has reports whether a peer with the ID is in the set.
	Has(key types.ID) bool
	// Get returns the peer with the ID, or the nil interface.
	Get(key types.ID) PeerConn
	// List returns the peers in a fresh slice that the caller owns.
	List() []PeerConn

	// NumInbound counts the peers that dialed this node.
	NumInbound() uint64
	// NumOutbound counts the peers that this node dialed.
	NumOutbound() uint64
}

// ConnInfo describes a connection that is about to become a PeerConn.
type ConnInfo struct {
	Outbound   bool              // this side dialed
	Persistent bool              // the switch redials this peer
	Private    bool              // the peer is not told to others
	Conn       net.Conn          // the source connection; nil where a stack has none of its own
	RemoteIP   net.IP            // of the connection, also of a delegated peer; nil when unknown
	SocketAddr *types.NetAddress // the remote's ID with the address of the connection

	// DelegatedBy is the node whose connection it is if that node presents the peer, as a
	// bridge does, and else empty. The node has proved that it may, so a switch may apply
	// to the peer what is configured for the node.
	DelegatedBy types.ID
	// SeenAt is the host at which that node says that it has seen the peer: an IPv4 address
	// or an IPv6 /64, or the zero value if it says nothing. Nothing proves it.
	SeenAt netip.Prefix
	// Again reports whether a peer on the same source connection has ended before, of which
	// AdmitPeer has not been told yet. Where a connection can carry several peers,
	// ConnAdmission is asked about the first only.
	Again bool
}

// ConnectionStatus is a snapshot of one connection. The caller owns it.
type ConnectionStatus struct {
	// Duration is the time since the connection was started.
	Duration time.Duration
	// SendMonitor and RecvMonitor count the traffic of each direction.
	SendMonitor FlowStatus
	RecvMonitor FlowStatus
	// Channels has one entry for each channel, in the order of registration.
	Channels []ChannelStatus
}

// FlowStatus counts one direction of a connection.
type FlowStatus struct {
	// Start is when counting began.
	Start time.Time
	// Bytes is the number of bytes so far.
	Bytes int64
	// CurRate is the recent rate, and AvgRate the rate since Start, in bytes a second.
	CurRate int64
	AvgRate int64
}

// ChannelStatus is the sending side of one channel.
type ChannelStatus struct {
	ID                byte
	SendQueueCapacity int   // messages
	SendQueueSize     int   // messages waiting now
	Priority          int   // as in the ChannelDescriptor
	RecentlySent      int64 // bytes, decaying; what the scheduler divides by Priority
}
