package discovery

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxGroupMembers is how many peers of one IP group may be in one bucket of the routing
// table. It is half a bucket: a host with many keys in one network cannot fill a
// bucket, and a DHT within one network still works.
const maxGroupMembers = bucketSize / 2

// maxPerHost is how many members of the routing table, and how many outbound peers of
// the switch, one host may have. A host is an IPv4 address or a /64 of IPv6. The guard
// of the switch covers inbound peers only.
const maxPerHost = 3

// ipGroups bounds the members of the routing table from one host, and from one IP group
// in each bucket. A group is an IPv4 /16 or an IPv6 autonomous system, as in kad-dht.
// Configured peers have no bound, nor have private networks if this node believes their
// addresses.
type ipGroups struct {
	ips    func(peer.ID) []netip.Addr // where a peer is, as far as this node has seen
	hostOf func(netip.Addr) netip.Prefix
	exempt func(peer.ID, netip.Addr) bool

	mtx     sync.Mutex
	members map[peer.ID]*member
}

// member is where a member of the routing table is.
type member struct {
	hosts  []netip.Prefix
	groups []ipGroup
}

type ipGroup struct {
	distance int // bits that the peer has in common with this node
	key      peerdiversity.PeerIPGroupKey
}

var _ peerdiversity.PeerIPGroupFilter = (*ipGroups)(nil)

func newIPGroups(
	ips func(peer.ID) []netip.Addr, hostOf func(netip.Addr) netip.Prefix, exempt func(peer.ID, netip.Addr) bool,
) *ipGroups {
	return &ipGroups{ips: ips, hostOf: hostOf, exempt: exempt, members: make(map[peer.ID]*member)}
}

// hostsOf returns the hosts at the IPs, each once.
func (g *ipGroups) hostsOf(ips []netip.Addr) (hosts []netip.Prefix) {
	for _, ip := range ips {
		if h := g.hostOf(ip); h.IsValid() && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}

	return hosts
}

// Allow implements peerdiversity.PeerIPGroupFilter.
func (g *ipGroups) Allow(info peerdiversity.PeerGroupInfo) bool {
	ips := g.ips(info.Id)
	if slices.ContainsFunc(ips, func(ip netip.Addr) bool { return g.exempt(info.Id, ip) }) {
		return true
	}
	hosts, group := g.hostsOf(ips), ipGroup{info.Cpl, info.IPGroupKey}
	g.mtx.Lock()
	defer g.mtx.Unlock()
	atHost, inGroup := make(map[netip.Prefix]int), 0
	for _, m := range g.members {
		for _, h := range m.hosts {
			atHost[h]++
		}
		if slices.Contains(m.groups, group) {
			inGroup++
		}
	}

	return inGroup < maxGroupMembers &&
		!slices.ContainsFunc(hosts, func(h netip.Prefix) bool { return atHost[h] >= maxPerHost })
}

// Increment implements peerdiversity.PeerIPGroupFilter. It is called for each group
// of a peer.
func (g *ipGroups) Increment(info peerdiversity.PeerGroupInfo) {
	hosts := g.hostsOf(g.ips(info.Id))
	g.mtx.Lock()
	defer g.mtx.Unlock()
	m := g.members[info.Id]
	if m == nil {
		m = &member{hosts: hosts}
		g.members[info.Id] = m
	}
	m.groups = append(m.groups, ipGroup{info.Cpl, info.IPGroupKey})
}

// Decrement implements peerdiversity.PeerIPGroupFilter. It is called for a peer that
// leaves, for each of its groups.
func (g *ipGroups) Decrement(info peerdiversity.PeerGroupInfo) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	delete(g.members, info.Id)
}

// PeerAddresses implements peerdiversity.PeerIPGroupFilter. Peers without a known IP,
// as behind a relay, form a group of their own.
func (g *ipGroups) PeerAddresses(p peer.ID) (addrs []multiaddr.Multiaddr) {
	for _, ip := range g.ips(p) {
		a, err := manet.FromIP(ip.AsSlice())
		if err == nil {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		addrs = append(addrs, manet.IP4Unspecified)
	}

	return addrs
}

// ipsOf returns the IPs at which the peer is connected, or else the IP where it has
// answered.
func (d *Discovery) ipsOf(p peer.ID) []netip.Addr {
	ips := d.connectedIPs(p)
	if at := d.answeredAt(p); len(ips) == 0 && at.IsValid() {
		ips = append(ips, at.Addr())
	}

	return ips
}

// hostOf returns the host at the IP. The host is not valid if any number of peers may
// share the IP: if the switch allows it, or on a private network whose addresses this
// node believes.
func (d *Discovery) hostOf(ip netip.Addr) netip.Prefix {
	if d.opts.allowDuplicateIP || d.filter.private.Load() && netgroup.IsLocal(ip) {
		return netip.Prefix{}
	}

	return netgroup.Host(ip)
}

// isFreeOfGroups reports whether the bounds of ipGroups do not hold for a peer at the
// IP.
func (d *Discovery) isFreeOfGroups(p peer.ID, ip netip.Addr) bool {
	return d.filter.private.Load() && netgroup.IsLocal(ip) || d.isConfigured(p)
}
