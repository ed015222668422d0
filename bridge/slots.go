package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var (
	errFull     = errors.New("the bridge has no free pair")
	errReplaced = errors.New("the node has opened another pair")
	errFormer   = errors.New("the former pair of the node has not ended yet")
)

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

	exempt  func() map[types.ID]bool // the nodes that never give way; set before the first take
	conduct *conduct.Book            // of networks whose nodes have others give way in vain
	canJoin func(*pair) bool         // some target could take its node; set before the first take

	mtx     sync.Mutex
	held    map[claim]*slot
	leaving *slot // whose node gives way and is not gone yet; see giveway.go
}

// claim is a node that dials an identity of the bridge on one of the sides.
type claim struct {
	initiator string
	id        types.ID
	at        types.ID // the identity
}

type slot struct {
	pairs   []*pair
	host    netip.Prefix // of the first pair
	counted bool         // false for unconditional peers, and once the node has given way
	// tookOver is when another node gave way to this one; zero if none did.
	tookOver time.Time
	gone     chan struct{} // closed when the node has no pair left
}

func newSlots(total, perIP int, unconditional []types.ID) *slots {
	return &slots{
		total: total, perIP: perIP, perSide: total - total/4, unconditional: unconditional, held: make(map[claim]*slot),
		exempt: func() map[types.ID]bool { return nil }, conduct: conduct.New(), canJoin: func(*pair) bool { return true },
	}
}

func (s *slots) isUnconditional(node claim) bool {
	return node.initiator == InitiatorNative && slices.Contains(s.unconditional, node.id)
}

// take gives the pair a slot until it is given back. Its node has proved its ID. If another node has to
// give way for it, that one's pair is ended, and p.room closes when nothing is left of it. The error
// wraps errFull and names the key of tm2bridge that would change it.
func (s *slots) take(p *pair, host netip.Prefix) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	held := s.held[p.claim]
	if held == nil {
		held = &slot{host: host, counted: !s.isUnconditional(p.claim), gone: make(chan struct{})}
		if err := s.makeRoom(p, held); err != nil {
			return err
		}
		s.held[p.claim] = held
	}
	switch {
	case held == s.leaving:
		return fmt.Errorf("%w: %s has given way to another node, and its pair has not ended yet", errFull, p.id)
	case len(held.pairs) == maxSharers:
		return fmt.Errorf("%w: %s has one and another that replaces it", errFull, p.id)
	}
	held.pairs = append(held.pairs, p)

	return nil
}

// makeRoom returns an error if the limits allow no new slot, and no node gives way. A host at its own
// limit gets no further slot, whoever could give way. The caller holds mtx.
func (s *slots) makeRoom(p *pair, fresh *slot) error {
	if !fresh.counted {
		return nil
	}
	var taken, ofSide, atHost int
	for other, held := range s.held {
		if held.counted {
			taken++
			ofSide += int(bit(other.initiator == p.initiator))
			atHost += int(bit(held.host == fresh.host))
		}
	}
	var full error
	switch {
	case atHost >= s.perIP:
		return fmt.Errorf("%w: %d are taken for %s, as [bridge].max_pairs_per_ip says", errFull, atHost, netgroup.Name(fresh.host))
	case taken >= s.total:
		full = fmt.Errorf("%w: %d are taken in total, as [bridge].max_pairs says", errFull, taken)
	case ofSide >= s.perSide:
		full = fmt.Errorf("%w: %d are taken for the nodes of one side, three quarters of [bridge].max_pairs", errFull, ofSide)
	default:
		return nil
	}
	if !s.canJoin(p) {
		return full // another pair would end for nothing
	}
	loser := s.findLoser(fresh, func(node claim) bool { return ofSide < s.perSide || node.initiator == p.initiator })
	if loser == nil {
		return full
	}
	s.giveWay(loser, fresh)
	p.room = loser.gone

	return nil
}

// replace makes the pair the only one that its node has opened. An older one is ended
// first, because the node would not open another if it still had that. For a newer one
// this pair gives way.
func (s *slots) replace(ctx context.Context, p *pair) error {
	s.mtx.Lock()
	others := slices.DeleteFunc(slices.Clone(s.held[p.claim].pairs), func(other *pair) bool { return other == p })
	s.mtx.Unlock()
	for _, other := range others {
		if other.since.After(p.since) {
			return errReplaced
		}
		other.end(nil, compat.Reject(compat.RejectDuplicate, "%v", errReplaced))
		select {
		case <-other.gone:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errFormer, ctx.Err())
		}
	}

	return nil
}

// giveBack lets the node open another pair, once nothing is left of this one. If its search has
// failed, the dials that still run get loserTimeout to show whether their targets are up.
func (s *slots) giveBack(p *pair) {
	if p.left != nil {
		task.WaitFor(p.left, loserTimeout)
	}
	p.end(nil, errNoCounterpart)
	s.mtx.Lock()
	held := s.held[p.claim]
	held.pairs = slices.DeleteFunc(held.pairs, func(other *pair) bool { return other == p })
	if len(held.pairs) == 0 {
		delete(s.held, p.claim)
		s.settle(held, p.ending())
	}
	s.mtx.Unlock()
	close(p.gone)
}

// share tells whether the nodes of one side only get pairs, which may then take all of them.
func (s *slots) share(oneSided bool) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.perSide = s.total - s.total/4; oneSided {
		s.perSide = s.total
	}
}

// usage returns how many slots are taken of those that are limited, in total and by the nodes of
// each side.
func (s *slots) usage() (taken int, sides []SideStatus) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	sides = []SideStatus{{Initiator: InitiatorNative, MaxSlots: s.perSide}, {Initiator: InitiatorLibp2p, MaxSlots: s.perSide}}
	for node, held := range s.held {
		if !held.counted {
			continue
		}
		taken++
		for i := range sides {
			sides[i].SlotsTaken += int(bit(sides[i].Initiator == node.initiator))
		}
	}

	return taken, sides
}

// live returns the pairs that are up.
func (s *slots) live() (pairs []*pair) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	for _, held := range s.held {
		for _, p := range held.pairs {
			if p.isUp() && p.ctx.Err() == nil {
				pairs = append(pairs, p)
			}
		}
	}

	return pairs
}
