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

// maxSharers is how many pairs of a node share its slot: the one that it has, and
// the one that replaces it.
const maxSharers = 2

// slots bounds the nodes that have a pair, or one in the making, in total, of one side
// and per host. Unconditional peers count in neither. A node that comes back shares the
// slot that it has, however full the bridge is.
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
	counted bool         // in taken and ips
	ip      netip.Prefix // of the first sharer
}

func newSlots(total, perIP int, unconditional []types.ID) *slots {
	s := &slots{
		total: total, perIP: perIP, perSide: total - total/4,
		sides: make(map[string]int), ips: make(map[netip.Prefix]int), held: make(map[claim]*slot),
	}
	for _, id := range unconditional {
		s.unconditional = append(s.unconditional, id.Canonical())
	}

	return s
}

// take returns what gives the node's slot back, or why there is none. The node has
// proved its ID.
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
		return nil, fmt.Errorf("%w: %d for %s", errFull, held.sharers, node.id)
	}
	held.sharers++

	return func() { s.giveBack(node, held) }, nil
}

// open makes a slot for a node that has none. The caller holds mtx.
func (s *slots) open(node claim, ip netip.Prefix) (*slot, error) {
	if node.initiator == InitiatorNative && slices.Contains(s.unconditional, node.id) {
		return &slot{}, nil
	}
	if s.taken >= s.total {
		return nil, fmt.Errorf("%w: %d in total", errFull, s.taken)
	}
	if s.sides[node.initiator] >= s.perSide {
		return nil, fmt.Errorf("%w: %d for the nodes of one side", errFull, s.sides[node.initiator])
	}
	if s.ips[ip] >= s.perIP {
		return nil, fmt.Errorf("%w: %d for %s", errFull, s.ips[ip], netgroup.Name(ip))
	}
	s.taken++
	s.sides[node.initiator]++
	s.ips[ip]++

	return &slot{counted: true, ip: ip}, nil
}

func (s *slots) giveBack(node claim, held *slot) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if held.sharers--; held.sharers > 0 {
		return
	}
	delete(s.held, node)
	if !held.counted {
		return
	}
	s.taken--
	if s.sides[node.initiator]--; s.sides[node.initiator] == 0 {
		delete(s.sides, node.initiator)
	}
	if s.ips[held.ip]--; s.ips[held.ip] == 0 {
		delete(s.ips, held.ip)
	}
}
