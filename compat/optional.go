package compat

import (
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// DelegatedPeer is an optional interface of a PeerConn that another node may present.
type DelegatedPeer interface {
	// DelegatedBy returns the node that presents the peer, as a bridge does, or false.
	DelegatedBy() (types.ID, bool)
	// SeenAt returns the host at which that node says that it has seen the peer: an IPv4
	// address or an IPv6 /64, or the zero value if it says nothing. Nothing proves it.
	SeenAt() netip.Prefix
}

// Delegate returns the ID of the node that presents the peer, or the empty ID if the peer
// speaks for itself.
func Delegate(p PeerConn) types.ID {
	d, ok := p.(DelegatedPeer)
	if !ok {
		return ""
	}
	delegate, _ := d.DelegatedBy()

	return delegate
}

// SeenAt returns the host at which the node that presents the peer says that it has seen
// it, or the zero value.
func SeenAt(p PeerConn) netip.Prefix {
	d, ok := p.(DelegatedPeer)
	if !ok {
		return netip.Prefix{}
	}

	return d.SeenAt()
}

// TunneledPeer is an optional interface of a PeerConn, and of a connection of Sockets, that runs
// in a tunnel: a bridge passes its bytes on and cannot read them. The peer has proved its own ID.
type TunneledPeer interface {
	// TunneledBy returns the bridge, or the empty ID if there is no tunnel.
	TunneledBy() types.ID
}

// TunneledBy returns the bridge through whose tunnel the peer is connected, or the empty ID.
func TunneledBy(p PeerConn) types.ID {
	t, ok := p.(TunneledPeer)
	if !ok {
		return ""
	}

	return t.TunneledBy()
}

// LocalPeer is an optional interface of a PeerConn whose connection ends with an address of this
// machine. The switch ends it when the machine loses that, since neither end would notice soon.
type LocalPeer interface {
	// LocalIP returns the IP of this machine to which the connection is bound, or nil if it is not
	// known, or the connection can do without it, as over QUIC (RFC 9000 section 9).
	LocalIP() net.IP
	// CloseLost closes the connection after the loss of that address, without a word to the remote,
	// with all else that runs on it, so that nothing uses it again.
	CloseLost() error
}

// ListeningTransport is a Transport that listens at an address. The transports of both stacks
// implement it.
type ListeningTransport interface {
	Transport

	// Listen begins to accept at the IP and port and returns. Port 0 takes a free port,
	// which NetAddress tells. The ID of the address is ignored. It returns
	// ErrAlreadyListening on a second call and ErrTransportClosed after Close.
	Listen(addr types.NetAddress) error
	// Close stops listening, ends every connection, and waits for all goroutines of the
	// transport. It must not be called from a reactor's Receive.
	Close() error
}

// PeerAdmission is an optional interface of a PeerBehavior. A transport asks it once for each
// connection whose remote has proved its ID and has a compatible NodeInfo. If the handshake
// can carry a refusal, the transport asks before it answers, so that the remote learns the
// reason.
type PeerAdmission interface {
	// AdmitPeer returns nil if the peer may come in now, and else a *RejectError; then the
	// transport closes the connection. The switch logs the refusal of an inbound peer and
	// tells its subscribers. It uses RemoteIP, DelegatedBy, SeenAt and Again of conn. AdmitPeer
	// does not block. A nil promises nothing: the switch checks again.
	AdmitPeer(conn ConnInfo, node types.NodeInfo) error
}

// PeerExemption is an optional interface of a PeerBehavior whose operator has configured
// peers. A transport keeps places for them, so that strangers cannot keep them out.
type PeerExemption interface {
	// IsExemptPeer reports whether the peer is persistent or unconditional. It does not
	// block, and may be called concurrently.
	IsExemptPeer(id types.ID) bool
}

// ConnAdmission is an optional interface of a PeerBehavior. A transport that accepts
// connections of its own asks it before it spends a handshake on one.
type ConnAdmission interface {
	// AdmitConn returns nil if any peer from the IP may come in now, and else a
	// *RejectError; then the transport closes the connection. A transport whose connections
	// serve other purposes too closes only those refused by RejectBanned. Each call counts as
	// one connection of the IP, which is nil if it is not known. AdmitConn does not block,
	// as it is called for every connection, and may be called concurrently. A nil promises
	// nothing: the switch may still refuse the peer.
	AdmitConn(remoteIP net.IP) error
}

// ConnReservation is an optional interface of a PeerBehavior. A transport that accepts
// connections of its own keeps places for configured peers, so that they can complete a
// handshake while strangers take all others.
type ConnReservation interface {
	// ReservesConn reports whether a persistent or unconditional peer is known to connect
	// from the IP, which is nil if it is not known. ReservesConn does not block, as it is
	// called for every connection, and may be called concurrently.
	ReservesConn(remoteIP net.IP) bool
}

// DialAdmission is an optional interface of a PeerBehavior. A transport asks it before it connects to
// an IP: where a host name leads shows only in the dial, and the name may lead to other IPs too.
type DialAdmission interface {
	// AdmitDial returns nil if a dial may connect to the IP, and else a *RejectError with
	// RejectBanned; then the transport goes on with the next IP of the host name. It does not
	// block, and may be called concurrently. A nil promises nothing: the switch may still refuse
	// the peer.
	AdmitDial(ip net.IP) error
}

// HintDialer is an optional interface of a Switch that knows who gave a hint. It spreads its
// outbound peers over the sources, and may ignore those of one that tells wrong addresses.
type HintDialer interface {
	// DialHints is DialPeers for addresses that the peer source has told. With an empty
	// source no peer answers for them.
	DialHints(source types.ID, peerAddrs ...*types.NetAddress)
}

// AnchorSource is an optional interface of a Switch. The part of the node that keeps the
// address book saves the anchors and has them dialed first after a restart.
type AnchorSource interface {
	// Anchors returns the addresses of up to two outbound peers: those connected longest,
	// for at least a minute. Persistent and unconditional peers are never among them. The
	// slice is the caller's.
	Anchors() []types.NetAddress
}

// ReasonStopper is an optional interface of a PeerConn whose stack can tell the remote why
// the connection ends.
type ReasonStopper interface {
	// StopForReason is Stop, and sends the reason if that takes no waiting.
	StopForReason(reason error) error
}

// ReasonFlusher is an optional interface of a PeerConn whose stack can tell the remote why
// the connection ends once it has delivered what was accepted.
type ReasonFlusher interface {
	// FlushStopForReason is FlushStop, and sends the reason.
	FlushStopForReason(reason error)
}

// Dialect is a form of TM2's handshake (docs/wire.md §1). After the handshake all
// dialects are alike.
type Dialect string

// The dialects of the native protocol.
const (
	DialectA Dialect = "A" // early 2025: typed key, bare node ID
	DialectB Dialect = "B" // before 2025-07-23: typed key, ID@IP:port
	DialectC Dialect = "C" // since then, all v1.x releases: plain key, ID@IP:port
)

// DialectReporter is an optional interface of a PeerConn whose stack has dialects.
type DialectReporter interface {
	// Dialect returns the dialect of the handshake.
	Dialect() Dialect
}

// StackReporter is an optional interface of a PeerConn that tells its stack. The network of
// its RemoteAddr tells TCP from QUIC, which is "udp".
type StackReporter interface {
	// Stack returns the stack of the connection.
	Stack() types.Stack
}

// LivenessProber is an optional interface of a PeerConn that can check whether the remote
// still uses the connection.
type LivenessProber interface {
	// ProbeAlive asks the remote for an answer and returns without waiting. If none comes
	// within the timeout, which must be positive, the connection fails. Before Start it
	// may be called too; then the timeout begins at Start. While an earlier probe waits for
	// its answer, the timeout that ends first counts. After Stop it does nothing.
	ProbeAlive(timeout time.Duration)
}

// ChannelAnnouncer is an optional interface of a Transport that sends a NodeInfo of its own.
type ChannelAnnouncer interface {
	// AnnounceChannels makes later handshakes announce exactly these channels and returns
	// those announced before, or the error of a NodeInfo with the new ones. A switch calls
	// it when it starts: peers send nothing on a channel that is not announced, and may
	// drop a node that does not serve an announced one.
	AnnounceChannels(channels []byte) (former []byte, err error)
}

// PeerController is an optional interface of a Switch whose peers an operator can configure
// while it runs. All methods may be called concurrently, and before Start.
type PeerController interface {
	// AddPersistentPeer makes the peer persistent, or changes its address. A peer that
	// is not connected is dialed at the address at once; a connection that exists stays.
	// The error names an address that cannot be dialed, or a peer that is blocked; nothing
	// has changed then.
	AddPersistentPeer(addr types.NetAddress) error
	// RemovePersistentPeer ends the redials of the peer and reports whether it was
	// persistent. A connection that exists stays.
	RemovePersistentPeer(id types.ID) bool
	// Redial dials a persistent peer that is not connected at once, and starts its
	// schedule over. It reports whether the peer is persistent and not connected.
	Redial(id types.ID) bool

	// BlockPeer refuses the peer from now on, as banned, ends its connection, and no
	// longer dials it, even if it is persistent or unconditional. The same holds for the
	// peers that it presents (see [ConnInfo].DelegatedBy). The error names an ID that is
	// not valid.
	BlockPeer(id types.ID) error
	// UnblockPeer undoes BlockPeer and reports whether the peer was blocked. A
	// persistent peer is dialed at once.
	UnblockPeer(id types.ID) bool
	// BlockedPeers returns the blocked IDs in order.
	BlockedPeers() []types.ID
}
