package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	errFull     = errors.New("the bridge has no free pair")
	errReplaced = errors.New("the node has opened another pair")
)

// ownSlots is how many slots an unconditional peer has: one for its pair, and one
// for the pair that replaces it.
const ownSlots = 2

// slots counts the pairs that are up or being made, in total and per IP address
// of the node that opened them. Unconditional peers have slots of their own.
type slots struct {
	total, perIP int

	mtx   sync.Mutex
	taken int
	ips   map[netip.Addr]int
	own   map[types.ID]int // taken ones, of each unconditional peer
}

func newSlots(total, perIP int, unconditional []types.ID) *slots {
	s := &slots{total: total, perIP: perIP, ips: make(map[netip.Addr]int), own: make(map[types.ID]int)}
	for _, id := range unconditional {
		s.own[id] = 0
	}

	return s
}

// take returns what gives the slot back, or why there is none.
func (s *slots) take(remote net.Addr) (release func(), err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.takeShared(groupOf(remote))
}

// takeFor is take for a native node that has proved its ID: an unconditional peer
// takes one of its own slots, wherever it comes from and however many others
// there are.
func (s *slots) takeFor(id types.ID, remote net.Addr) (release func(), err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	taken, unconditional := s.own[id]
	if !unconditional {
		return s.takeShared(groupOf(remote))
	}
	if taken >= ownSlots {
		return nil, fmt.Errorf("%w: %d for %s", errFull, taken, id)
	}
	s.own[id]++

	return func() { s.giveBackOwn(id) }, nil
}

// takeShared takes a slot that is nobody's own. The caller holds mtx.
func (s *slots) takeShared(ip netip.Addr) (release func(), err error) {
	if s.taken >= s.total {
		return nil, fmt.Errorf("%w: %d in total", errFull, s.taken)
	}
	if s.ips[ip] >= s.perIP {
		return nil, fmt.Errorf("%w: %d for %s", errFull, s.ips[ip], ip)
	}
	s.taken++
	s.ips[ip]++

	return func() { s.giveBack(ip) }, nil
}

func (s *slots) giveBackOwn(id types.ID) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.own[id]--
}

func (s *slots) giveBack(ip netip.Addr) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.taken--
	if s.ips[ip]--; s.ips[ip] == 0 {
		delete(s.ips, ip)
	}
}

// groupOf is the IPv4 address of a remote or the /64 of its IPv6 address, which is
// what one host can have.
func groupOf(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	if ip = ip.Unmap(); !ip.Is6() {
		return ip
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return netip.Addr{}
	}

	return prefix.Addr()
}

// claim is a node on one of the sides.
type claim struct {
	initiator string
	id        types.ID
}

// claim makes the pair the only one that the node has opened. A former one is
// ended first: the node would not open another if it still had that.
func (b *Bridge) claim(ctx context.Context, p *pair, id types.ID) error {
	key := claim{p.initiator, id}
	for {
		former := b.tryClaim(key, p)
		if former == nil {
			return nil
		}
		former.end(nil, compat.Reject(compat.RejectDuplicate, "%v", errReplaced))
		select {
		case <-former.gone:
		case <-ctx.Done():
			return fmt.Errorf("the former pair of %s has not ended: %w", id, ctx.Err())
		}
	}
}

func (b *Bridge) tryClaim(key claim, p *pair) (former *pair) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if former := b.claims[key]; former != nil {
		return former
	}
	b.claims[key] = p

	return nil
}

// disclaim lets the node open another pair.
func (b *Bridge) disclaim(p *pair, id types.ID) {
	b.mtx.Lock()
	delete(b.claims, claim{p.initiator, id})
	b.mtx.Unlock()
	close(p.gone)
}
