package discovery

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxAddrs is how many addresses of one peer are believed or told: IPv4 and IPv6,
// TCP and QUIC, and as many again for a peer that has just moved.
const maxAddrs = 8

// addrFilter decides which addresses are believed and told.
type addrFilter struct {
	private bool // loopback, private and shared addresses pass, too
}

// parse returns the IP and port of an address, and whether it passes.
func (f addrFilter) parse(a multiaddr.Multiaddr) (netip.AddrPort, bool) {
	at, ok := endpointOf(a)

	return at, ok && f.passes(at)
}

func (f addrFilter) passes(at netip.AddrPort) bool {
	return at.Port() != 0 && netgroup.IsDialable(at.Addr()) && (f.private || !netgroup.IsLocal(at.Addr()))
}

// endpointOf returns the IP and port of an address, if it has no other parts: TCP, or
// QUIC over UDP.
func endpointOf(a multiaddr.Multiaddr) (netip.AddrPort, bool) {
	switch {
	case len(a) == 2 && a[1].Code() == multiaddr.P_TCP:
	case len(a) == 3 && a[1].Code() == multiaddr.P_UDP && a[2].Code() == multiaddr.P_QUIC_V1:
	default:
		return netip.AddrPort{}, false
	}
	if code := a[0].Code(); code != multiaddr.P_IP4 && code != multiaddr.P_IP6 {
		return netip.AddrPort{}, false
	}
	ip := netgroup.FromIP(a[0].RawValue())
	port := a[1].RawValue()
	if !ip.IsValid() || len(port) != 2 {
		return netip.AddrPort{}, false
	}

	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port)), true
}

// filter returns those of the addresses that pass, in their order, at most
// maxAddrs.
func (f addrFilter) filter(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	passed := make([]multiaddr.Multiaddr, 0, min(len(addrs), maxAddrs))
	for _, a := range addrs {
		if len(passed) == maxAddrs {
			break
		}
		if _, ok := f.parse(a); ok {
			passed = append(passed, a)
		}
	}

	return passed
}

// netAddress is the address as the switch dials it.
func netAddress(id types.ID, at netip.AddrPort) types.NetAddress {
	return types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}
}

// addrPort is the IP and port of an address.
func addrPort(addr *types.NetAddress) netip.AddrPort {
	return netip.AddrPortFrom(netgroup.FromIP(addr.IP), addr.Port)
}

// maxIDs bounds the TM2 IDs that are remembered: twice the peers that are.
const maxIDs = 2 * maxKnown

// tm2IDs remembers the TM2 IDs of peer IDs. kad-dht asks about each peer several
// times for each query, and the way from a peer ID to a TM2 ID leads over a decoded
// key, a hash and Bech32.
type tm2IDs struct {
	mtx   sync.RWMutex
	known map[peer.ID]types.ID
}

func newTM2IDs() *tm2IDs { return &tm2IDs{known: make(map[peer.ID]types.ID)} }

// of is lp2p.TM2ID.
func (c *tm2IDs) of(p peer.ID) (types.ID, error) {
	c.mtx.RLock()
	id, ok := c.known[p]
	c.mtx.RUnlock()
	if ok {
		return id, nil
	}
	id, err := p2paddr.TM2ID(p)
	if err != nil {
		return "", err // not kept: such a peer ID may have any length
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if len(c.known) >= maxIDs {
		clear(c.known) // those in use come back at once
	}
	c.known[p] = id

	return id, nil
}
