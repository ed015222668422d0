package lp2p

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// slots counts what remotes have under way, in total, per IP and per peer. It is
// asked before anything is allocated for the remote.
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

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// hostOf returns the host by which a remote is counted. It is the zero Prefix where
// the connection has no IP.
func hostOf(c network.Conn) netip.Prefix {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return netip.Prefix{}
	}

	return netgroup.Host(netgroup.FromIP(ip))
}
