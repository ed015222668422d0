package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

var (
	// errUnwanted: the peer is private, refused, or has no TM2 ID.
	errUnwanted = errors.New("peer is not for this DHT")
	// errNotServed: kad-dht has tried to open a stream by itself.
	errNotServed = errors.New("queries go through the message sender")
)

// dhtHost is the host as kad-dht sees it. It hides peers that must not be told to
// others, and has every connection and stream under the control of this package.
type dhtHost struct {
	host.Host
	d *Discovery
}

func newDHTHost(d *Discovery) *dhtHost { return &dhtHost{d.t.Host(), d} }

// Peerstore implements host.Host.
func (h *dhtHost) Peerstore() peerstore.Peerstore { return &dhtPeerstore{h.Host.Peerstore(), h.d} }

// ConnManager implements host.Host.
func (h *dhtHost) ConnManager() connmgr.ConnManager {
	return &dhtConnManager{h.Host.ConnManager(), h.d}
}

// Connect implements host.Host for the dials of a lookup.
func (h *dhtHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	if !h.d.tasks.Enter() {
		return errStopping
	}
	defer h.d.tasks.Leave()
	release, err := h.d.pool.acquire(ctx, info.ID)
	if err != nil {
		return err
	}
	release()

	return nil
}

// NewStream implements host.Host.
func (*dhtHost) NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error) {
	return nil, errNotServed
}

// SetStreamHandler implements host.Host: the DHT has become a server.
func (h *dhtHost) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	h.d.server.open(h.Host, id, handler)
}

// RemoveStreamHandler implements host.Host: the DHT has become a client.
func (h *dhtHost) RemoveStreamHandler(id protocol.ID) { h.d.server.shut(h.Host, id) }

// dhtPeerstore is the peerstore as kad-dht sees it. kad-dht may tell its content to any
// node that asks. What kad-dht learns goes into the address book, not into the
// peerstore.
type dhtPeerstore struct {
	peerstore.Peerstore
	d *Discovery
}

// Addrs implements peerstore.AddrBook with what may be told.
func (s *dhtPeerstore) Addrs(p peer.ID) []multiaddr.Multiaddr {
	if p == s.d.self {
		return s.d.filter.filter(s.d.t.Host().Addrs())
	}
	if !s.d.mayTell(p) {
		return nil
	}

	return s.d.filter.filter(s.d.pool.addrsOf(p))
}

// PeerInfo implements peerstore.Peerstore.
func (s *dhtPeerstore) PeerInfo(p peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: p, Addrs: s.Addrs(p)}
}

// AddAddr implements peerstore.AddrBook, as AddAddrs.
func (*dhtPeerstore) AddAddr(peer.ID, multiaddr.Multiaddr, time.Duration) {}

// AddAddrs implements peerstore.AddrBook. It does nothing: the sender has put the
// addresses into the book, with their source.
func (*dhtPeerstore) AddAddrs(peer.ID, []multiaddr.Multiaddr, time.Duration) {}

// FirstSupportedProtocol implements peerstore.ProtoBook. An unwanted peer appears not
// to speak the protocol of the DHT, so it enters no routing table.
func (s *dhtPeerstore) FirstSupportedProtocol(p peer.ID, ids ...protocol.ID) (protocol.ID, error) {
	if s.d.unwanted(p) {
		return "", nil
	}

	return s.Peerstore.FirstSupportedProtocol(p, ids...)
}

// dhtConnManager keeps kad-dht from protecting connections, because only peers with a
// session are protected. Its tags also show when the routing table changes, for which
// the table has no other signal.
type dhtConnManager struct {
	connmgr.ConnManager
	d *Discovery
}

// tableTag is kad-dht's name for members of the routing table.
const tableTag = "kbucket"

// tableScore is what the DHT gives to a member that it does not protect.
const tableScore = 5

// Protect implements connmgr.ConnManager by a tag.
func (m *dhtConnManager) Protect(p peer.ID, tag string) { m.TagPeer(p, tag, tableScore) }

// TagPeer implements connmgr.ConnManager.
func (m *dhtConnManager) TagPeer(p peer.ID, tag string, score int) {
	m.ConnManager.TagPeer(p, tag, score)
	if tag != tableTag {
		return
	}
	m.d.tableGrew.Set()
	if m.d.unwanted(p) { // found out since kad-dht asked
		m.d.unwantedMember.Set()
	}
}

// Unprotect implements connmgr.ConnManager.
func (m *dhtConnManager) Unprotect(p peer.ID, tag string) bool {
	m.UntagPeer(p, tag)

	return false
}
