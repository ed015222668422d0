package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var errFull = errors.New("the bridge has no free pair")

// maxSharers is how many pairs of a node may share its slot: the one that it has, and the
// one that replaces it.
const maxSharers = 2

// slots bounds the nodes that have a pair, or one being made: in total, of one side and
// per host. Unconditional peers do not count. A node that comes back shares the slot that
// it has, however full the bridge is.
type slots struct {
	total, perIP  int
	perSide       int        // less than total, so that neither side locks out the other
	unconditional []types.ID // native nodes

	mtx   sync.Mutex
	taken int
	sides map[string]int // by initiator
	ips   map[netip.Prefix]int
	held  map[claim]*slot
}

type slot struct {
	sharers int
	counted bool         // false for unconditional peers
	ip      netip.Prefix // of the first sharer
}

func newSlots(total, perIP int, unconditional []types.ID) *slots {
	return &slots{
		total: total, perIP: perIP, perSide: total - total/4, unconditional: unconditional,
		sides: make(map[string]int), ips: make(map[netip.Prefix]int), held: make(map[claim]*slot),
	}
}

// take gives the node, which has proved its ID, a slot until release is called. The error
// wraps errFull and names the key of tm2bridge that would change it.
func (s *slots) take(node claim, remote net.Addr) (release func(), err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	held := s.held[node]
	if held == nil {
		if held, err = s.open(node, netgroup.Host(netgroup.FromAddr(remote))); err != nil {
			return nil, err
		}
		s.held[node] = held
	}
	if held.sharers == maxSharers {
		return nil, fmt.Errorf("%w: %s has one and another that replaces it", errFull, node.id)
	}
	held.sharers++

	return func() { s.giveBack(node, held) }, nil
}

// open makes a slot for a node that has none. The caller holds mtx.
func (s *slots) open(node claim, ip netip.Prefix) (*slot, error) {
	if node.initiator == InitiatorNative && slices.Contains(s.unconditional, node.id) {
		return &slot{}, nil
	}
	for _, limit := range []struct {
		taken, most int
		of          string
	}{
		{s.taken, s.total, "in total, as [bridge].max_pairs says"},
		{s.sides[node.initiator], s.perSide, "for the nodes of one side, three quarters of [bridge].max_pairs"},
		{s.ips[ip], s.perIP, "for " + netgroup.Name(ip) + ", as [bridge].max_pairs_per_ip says"},
	} {
		if limit.taken >= limit.most {
			return nil, fmt.Errorf("%w: %d are taken %s", errFull, limit.taken, limit.of)
		}
	}
	s.count(node, ip, 1)

	return &slot{counted: true, ip: ip}, nil
}

func (s *slots) giveBack(node claim, held *slot) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if held.sharers--; held.sharers > 0 {
		return
	}
	delete(s.held, node)
	if held.counted {
		s.count(node, held.ip, -1)
	}
}

func (s *slots) count(node claim, ip netip.Prefix, by int) {
	s.taken += by
	s.sides[node.initiator] += by
	if s.ips[ip] += by; s.ips[ip] == 0 {
		delete(s.ips, ip)
	}
}
