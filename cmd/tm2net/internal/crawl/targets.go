package crawl

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// maxPerHost is how many addresses of one host, an IPv4 address or an IPv6 /64, are
	// visited: strangers who name many ports of a host must not make the crawl flood it.
	maxPerHost = 64
	// maxClaims is how many IDs that are claimed for one address are kept.
	maxClaims = 8
)

// target is an address to visit, once.
type target struct {
	at netip.AddrPort
	// claims are the nodes that are said to be there, and crowded says that there are more.
	claims  []types.ID
	crowded bool
	seed    bool
	passed  bool // its turn has come, and it was not wanted
}

func (t *target) host() netip.Prefix { return netgroup.Host(t.at.Addr()) }

// targets are the addresses of a crawl. They belong to its loop.
type targets struct {
	byAddress map[netip.AddrPort]*target
	waiting   []*target
	busy      map[netip.Prefix]bool
	perHost   map[netip.Prefix]int
	limit     int // of addresses
}

func newTargets(limit int) *targets {
	return &targets{
		byAddress: make(map[netip.AddrPort]*target), busy: make(map[netip.Prefix]bool),
		perHost: make(map[netip.Prefix]int), limit: limit,
	}
}

// add notes that the node, if its ID is known, is said to be at the address. It reports
// whether the address was taken, and is not one too many. One that was passed over has its turn again when
// another node is said to be there: whoever names a node that is known already for the addresses of others
// must not hide these.
func (q *targets) add(at netip.AddrPort, id types.ID, seed bool) bool {
	t := q.byAddress[at]
	if t == nil {
		host := netgroup.Host(at.Addr())
		if !seed && (q.perHost[host] >= maxPerHost || len(q.byAddress) >= q.limit) {
			return false
		}
		t = &target{at: at, seed: seed}
		q.byAddress[at] = t
		q.perHost[host]++
		q.waiting = append(q.waiting, t)
	}
	if id != "" && !slices.Contains(t.claims, id) {
		q.claim(t, id)
	}

	return true
}

func (q *targets) claim(t *target, id types.ID) {
	if len(t.claims) < maxClaims {
		t.claims = append(t.claims, id)
	} else {
		t.crowded = true
	}
	if t.passed {
		t.passed = false
		q.waiting = append(q.waiting, t)
	}
}

// next takes the first target whose host is not being visited, and passes over those that
// wanted does not want.
func (q *targets) next(wanted func(*target) bool) *target {
	for i := 0; i < len(q.waiting); i++ {
		t := q.waiting[i]
		if q.busy[t.host()] {
			continue
		}
		q.waiting = slices.Delete(q.waiting, i, i+1)
		if wanted(t) {
			q.busy[t.host()] = true

			return t
		}
		t.passed = true
		i--
	}

	return nil
}

func (q *targets) done(t *target) { delete(q.busy, t.host()) }

const (
	// firstPause is how long an address is left alone after it has not answered. It doubles
	// with each further failure.
	firstPause = 15 * time.Minute
	maxPause   = 24 * time.Hour
	// maxRemembered bounds a Memory.
	maxRemembered = 100_000
)

// Memory remembers addresses where nobody answered, over several crawls. The zero value is
// empty. It must not be used by two crawls at a time.
type Memory struct {
	failed map[netip.AddrPort]failure
}

type failure struct {
	pause time.Duration
	until time.Time
}

// resting reports whether the address is left alone for now.
func (m *Memory) resting(at netip.AddrPort, now time.Time) bool {
	return m != nil && now.Before(m.failed[at].until)
}

func (m *Memory) note(at netip.AddrPort, answered bool, now time.Time) {
	switch {
	case m == nil:
		return
	case answered:
		delete(m.failed, at)

		return
	case m.failed == nil:
		m.failed = make(map[netip.AddrPort]failure)
	}
	f, known := m.failed[at]
	if !known && len(m.failed) >= maxRemembered {
		for forgotten := range m.failed {
			delete(m.failed, forgotten)

			break
		}
	}
	f.pause = min(max(2*f.pause, firstPause), maxPause)
	f.until = now.Add(f.pause)
	m.failed[at] = f
}
