package addrbook

import (
	"maps"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxEndpointFailures and maxHostFailures are how many dials may fail at one IP and
	// port, and at one host, within endpointMemory. After that no hint there is tried,
	// because IDs and ports can be made up without end.
	maxEndpointFailures = 3
	maxHostFailures     = 16
	endpointMemory      = 10 * time.Minute

	// maxEndpoints bounds the memory. Beyond it those that are older than endpointMemory
	// are forgotten, and then a random one, so that nobody can predict which.
	maxEndpoints = 8192
	// sweepInterval is how often the memory is searched for old endpoints at most, since
	// that takes a look at all of them.
	sweepInterval = 10 * time.Second
)

// endpoint is what came of this node's dials at one IP and port, or one host.
type endpoint struct {
	since  time.Time // when the owner answered, else of the first failure
	owner  types.ID  // who answered there last; empty if nobody has, and for a host
	failed int       // dials since then that failed, or may still
	tried  int       // those among them of which no end was noted yet
}

// succeed takes back a dial that Try has counted.
func (p *endpoint) succeed() {
	if p.tried > 0 {
		p.tried--
		p.failed--
	}
}

// fail counts a failed dial, unless Try has counted it.
func (p *endpoint) fail() {
	if p.tried > 0 {
		p.tried--
	} else {
		p.failed++
	}
}

// endpoints remembers failed dials by endpoint and by host, for any ID. Only dials
// count, not what peers claim.
type endpoints struct {
	known      map[string]*endpoint
	swept      time.Time // when old ones were last forgotten
	anyPerHost bool      // hosts do not count
	relayed    bool      // peers share the endpoint of their relay: nobody owns one
}

func newEndpoints() *endpoints { return &endpoints{known: make(map[string]*endpoint)} }

// at returns what is remembered of the endpoint, something new if nothing is.
func (s *endpoints) at(key string, now time.Time) *endpoint {
	p := s.known[key]
	if p != nil && now.Sub(p.since) < endpointMemory {
		return p
	}
	if p == nil && len(s.known) >= maxEndpoints {
		s.makeRoom(now)
	}
	p = &endpoint{since: now}
	s.known[key] = p

	return p
}

// makeRoom forgets the endpoints that do not count any more, or a random one.
func (s *endpoints) makeRoom(now time.Time) {
	if now.Sub(s.swept) >= sweepInterval {
		s.swept = now
		maps.DeleteFunc(s.known, func(_ string, p *endpoint) bool { return now.Sub(p.since) >= endpointMemory })
	}
	for other := range s.known {
		if len(s.known) < maxEndpoints {
			return
		}
		delete(s.known, other)
	}
}

// fresh returns what is remembered of the endpoint, nothing known if nothing is.
func (s *endpoints) fresh(key string, now time.Time) endpoint {
	if p := s.known[key]; p != nil && now.Sub(p.since) < endpointMemory {
		return *p
	}

	return endpoint{}
}

// isTaken reports whether another peer has answered at the address.
func (s *endpoints) isTaken(addr *types.NetAddress, now time.Time) bool {
	owner := s.fresh(addr.DialString(), now).owner

	return owner != "" && owner != addr.ID
}

// may reports whether the peer may be looked for at the address.
func (s *endpoints) may(addr *types.NetAddress, now time.Time) bool {
	p := s.fresh(addr.DialString(), now)
	if p.owner != "" {
		return p.owner == addr.ID
	}

	return p.failed < maxEndpointFailures && s.fresh(s.countedHost(hostOf(addr.IP)), now).failed < maxHostFailures
}

// try is may, and counts a dial whose result is not known yet.
func (s *endpoints) try(addr *types.NetAddress, now time.Time) bool {
	if !s.may(addr, now) {
		return false
	}
	for _, p := range s.of(addr, now) {
		if p.owner == "" {
			p.failed++
			p.tried++
		}
	}

	return true
}

// failed counts a failed dial. The peer does not own the endpoint any more.
func (s *endpoints) failed(addr *types.NetAddress, now time.Time) {
	for _, p := range s.of(addr, now) {
		switch p.owner {
		case "":
			p.fail()
		case addr.ID:
			*p = endpoint{since: now, failed: 1}
		}
	}
}

// takeBack undoes try for a dial that says nothing.
func (s *endpoints) takeBack(addr *types.NetAddress, now time.Time) {
	for _, p := range s.of(addr, now) {
		if p.owner == "" {
			p.succeed()
		}
	}
}

// answered notes which peer is at the address.
func (s *endpoints) answered(addr *types.NetAddress, now time.Time) {
	at := s.of(addr, now)
	if !s.relayed {
		*at[0] = endpoint{since: now, owner: addr.ID}
		at = at[1:]
	}
	for _, p := range at {
		p.succeed()
	}
}

// foundOther notes that another peer than that of the address is there.
func (s *endpoints) foundOther(addr *types.NetAddress, found types.ID, now time.Time) {
	if s.relayed {
		s.failed(addr, now)
	} else {
		s.answered(&types.NetAddress{ID: found, IP: addr.IP, Port: addr.Port}, now)
	}
}

// allowRelayed lets peers share endpoints from now on.
func (s *endpoints) allowRelayed() {
	s.relayed = true
	for _, p := range s.known {
		p.owner = ""
	}
}

// of returns what is remembered of the address, and of its host if it is not local.
func (s *endpoints) of(addr *types.NetAddress, now time.Time) []*endpoint {
	at := []*endpoint{s.at(addr.DialString(), now)}
	if host := s.countedHost(hostOf(addr.IP)); host != "" {
		at = append(at, s.at(host, now))
	}

	return at
}

// countedHost returns the host, or nothing if hosts do not count.
func (s *endpoints) countedHost(host string) string {
	if s.anyPerHost {
		return ""
	}

	return host
}

// hostOf names the host at an IP. It is empty for local addresses, where many nodes may
// share an IP.
func hostOf(ip net.IP) string {
	host := netgroup.PublicHost(netgroup.FromIP(ip))
	if !host.IsValid() {
		return ""
	}

	return netgroup.Name(host)
}

// networkOf names the network that an IP belongs to. It is empty for local addresses.
func networkOf(ip net.IP) string {
	network := netgroup.Network(netgroup.FromIP(ip))
	if !network.IsValid() {
		return ""
	}

	return network.String()
}
