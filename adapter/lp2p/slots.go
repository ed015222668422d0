package lp2p

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// slots limits what remotes have under way: in total, per IP and per peer. A slot is taken
// before anything is allocated for the remote.
type slots struct {
	total, perIP, perPeer int

	mtx   sync.Mutex
	taken int
	ips   map[netip.Prefix]int
	peers map[peer.ID]int
}

func newSlots(total, perIP, perPeer int) *slots {
	return &slots{
		total: total, perIP: perIP, perPeer: perPeer,
		ips: make(map[netip.Prefix]int), peers: make(map[peer.ID]int),
	}
}

// take takes a slot for the remote of the connection, if there is one. An exempt peer has
// slots of its own: only the limit per peer applies to it. The caller gives the slot back once.
func (s *slots) take(c network.Conn, exempt bool) (giveBack func(), ok bool) {
	ip, id := hostOf(c), c.RemotePeer()
	s.mtx.Lock()
	defer s.mtx.Unlock()

	if s.peers[id] >= s.perPeer || !exempt && (s.taken >= s.total || s.ips[ip] >= s.perIP) {
		return nil, false
	}
	s.peers[id]++
	if !exempt {
		s.taken++
		s.ips[ip]++
	}

	return func() { s.giveBack(ip, id, exempt) }, true
}

func (s *slots) giveBack(ip netip.Prefix, id peer.ID, exempt bool) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	decrement(s.peers, id)
	if !exempt {
		s.taken--
		decrement(s.ips, ip)
	}
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// ipOf returns the IP of an address, or of the relay through which it leads. The IP is not
// valid if the address has none.
func ipOf(a multiaddr.Multiaddr) netip.Addr {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}

	return netgroup.FromIP(ip)
}

// hostOf returns the host by which a remote is counted: the zero Prefix if the connection
// has no IP.
func hostOf(c network.Conn) netip.Prefix { return netgroup.Host(ipOf(c.RemoteMultiaddr())) }
