package adapter

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// This node chooses its outbound peers. So no network and no source of hints may fill all
// outbound slots while others have hints. Of the hints that wait, those of the networks and
// sources with the fewest outbound peers and dials are dialed first. Once a network or
// source has its quota, its further hints wait a moment for better ones, and are dialed if
// none come. Hints within a local network are all alike.
const (
	// quotaShare is the share of the outbound slots for one network or source: one in four.
	quotaShare = 4
	crowdWait  = 2 * time.Second
	// longestWait keeps hints of other networks from passing a hint without end.
	longestWait = DefaultDialTimeout

	// When all outbound slots are taken, a hint of a network without outbound peers is tried
	// every now and then. If the peer answers, the youngest of the most crowded network gives
	// way: soon if a network has several, else seldom. Each interval varies by half.
	tryCrowded = time.Minute
	tryDiverse = 30 * time.Minute

	// maxAnchors is how many outbound peers are dialed first after a restart, as in Bitcoin
	// Core: they have lasted, so an attacker who has filled the address book meanwhile does
	// not have the node alone.
	maxAnchors = 2
)

var (
	_ compat.HintDialer   = (*MultiplexSwitch)(nil)
	_ compat.AnchorSource = (*MultiplexSwitch)(nil)
)

// spread counts the outbound peers, or dials, of each network and source.
type spread struct {
	networks map[netip.Prefix]int
	sources  map[types.ID]int
	quota    int // from which on hints wait
}

func newSpread() spread {
	return spread{networks: make(map[netip.Prefix]int), sources: make(map[types.ID]int)}
}

// add counts n more peers or dials, or fewer if n is negative. Local networks do not count.
func (s spread) add(host netip.Prefix, source types.ID, n int) {
	network := netgroup.Network(host.Addr())
	if !network.IsValid() {
		return
	}
	increase(s.networks, network, n)
	if source != "" {
		increase(s.sources, source, n)
	}
}

func increase[K comparable](counts map[K]int, key K, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// crowd is how many peers or dials the network or the source of the hint has, whichever has
// more.
func (s spread) crowd(t *dial) int {
	if len(s.networks) == 0 {
		return 0
	}

	return max(s.networks[netgroup.Network(t.host().Addr())], s.sources[t.source])
}

// outboundSpread counts the peers in the outbound slots.
func (r *registry) outboundSpread() spread {
	s := newSpread()
	s.quota = int(max(1, r.limits[slotOutbound]/quotaShare))
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for _, c := range r.byID {
		if c.slot == slotOutbound {
			s.add(c.host, c.source, 1)
		}
	}

	return s
}

// turn says when a hint may be tried although all outbound slots are taken.
type turn struct {
	mtx     sync.Mutex
	last    time.Time
	stretch float64 // of the interval that follows
}

// take reports whether the interval is over, and then begins the next one.
func (t *turn) take(interval time.Duration) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	now := time.Now()
	if t.last.IsZero() || now.Sub(t.last) >= time.Duration(t.stretch*float64(interval)) {
		over := !t.last.IsZero()
		t.last, t.stretch = now, 0.5+rand.Float64()

		return over
	}

	return false
}

// mayTry reports whether the hint may take the place of an outbound peer now.
func (sw *MultiplexSwitch) mayTry(addr types.NetAddress) bool {
	network := netgroup.Network(netgroup.FromIP(addr.IP))
	s := sw.registry.outboundSpread()
	if !network.IsValid() || s.networks[network] > 0 {
		return false
	}
	interval := tryDiverse
	for _, peers := range s.networks {
		if peers > 1 {
			interval = tryCrowded
		}
	}

	return sw.dials.turn.take(interval)
}

// Anchors implements compat.AnchorSource.
func (sw *MultiplexSwitch) Anchors() (addrs []types.NetAddress) {
	conns := slices.DeleteFunc(slices.Clone(sw.peers.connections()), func(c *connection) bool {
		return !c.outbound || sw.lists.isExempt(c.id) || time.Since(c.since) < usefulUptime
	})
	slices.SortFunc(conns, func(a, b *connection) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
	for _, c := range conns[:min(len(conns), maxAnchors)] {
		addrs = append(addrs, *c.conn.SocketAddr())
	}

	return addrs
}
