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

	mtx  sync.Mutex
	held map[claim]*slot
}

type slot struct {
	sharers int
	host    netip.Prefix // of the first sharer; not valid for unconditional peers
}

func newSlots(total, perIP int, unconditional []types.ID) *slots {
	return &slots{
		total: total, perIP: perIP, perSide: total - total/4, unconditional: unconditional, held: make(map[claim]*slot),
	}
}

// hostOf returns the host for which the node counts. It is not valid for an unconditional
// peer.
func (s *slots) hostOf(node claim, remote net.Addr) netip.Prefix {
	if node.initiator == InitiatorNative && slices.Contains(s.unconditional, node.id) {
		return netip.Prefix{}
	}

	return netgroup.Host(netgroup.FromAddr(remote))
}

// take gives the node, which has proved its ID, a slot until release is called. The error
// wraps errFull and names the key of tm2bridge that would change it.
func (s *slots) take(node claim, remote net.Addr) (release func(), err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	held := s.held[node]
	if held == nil {
		held = &slot{host: s.hostOf(node, remote)}
		if err := s.check(node, held.host); err != nil {
			return nil, err
		}
		s.held[node] = held
	}
	if held.sharers == maxSharers {
		return nil, fmt.Errorf("%w: %s has one and another that replaces it", errFull, node.id)
	}
	held.sharers++

	return func() {
		s.mtx.Lock()
		defer s.mtx.Unlock()
		if held.sharers--; held.sharers == 0 {
			delete(s.held, node)
		}
	}, nil
}

// check returns an error if there is no slot for another node at the host. The caller holds
// mtx.
func (s *slots) check(node claim, host netip.Prefix) error {
	if !host.IsValid() {
		return nil
	}
	var taken, ofSide, atHost int
	for other, held := range s.held {
		if held.host.IsValid() {
			taken++
			ofSide += int(bit(other.initiator == node.initiator))
			atHost += int(bit(held.host == host))
		}
	}
	switch {
	case taken >= s.total:
		return fmt.Errorf("%w: %d are taken in total, as [bridge].max_pairs says", errFull, taken)
	case ofSide >= s.perSide:
		return fmt.Errorf("%w: %d are taken for the nodes of one side, three quarters of [bridge].max_pairs", errFull, ofSide)
	case atHost >= s.perIP:
		return fmt.Errorf("%w: %d are taken for %s, as [bridge].max_pairs_per_ip says", errFull, atHost, netgroup.Name(host))
	default:
		return nil
	}
}
