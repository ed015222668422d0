package bridge

import (
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxStrangers bounds the strangers of one site, a public IPv4 /24 or IPv6 /48, that a list of
// the journal has: whoever makes up IDs fills no list with them.
const maxStrangers = 8

// entry is what decides which entry of a full list gives way.
type entry struct {
	at    time.Time
	site  netip.Prefix
	known bool // the node is no stranger
}

// siteOf returns the site of an IP. A local one stands for itself, since its neighbours need not
// be of one owner.
func siteOf(ip netip.Addr) netip.Prefix {
	if netgroup.IsLocal(ip) {
		return netgroup.Host(ip)
	}

	return netgroup.Around(ip)[1]
}

// makeRoomFor lets a newcomer into a list of at most limit entries, and reports whether it may
// come in. A stranger takes the place of the oldest one of its site if that has maxStrangers.
// When the list is full the oldest stranger of the most crowded site goes. Nodes that are known
// give way to other known ones only.
func makeRoomFor[K comparable, V any](m map[K]V, limit int, entryOf func(V) entry, fresh entry) bool {
	strangers := make(map[netip.Prefix]int)
	for _, v := range m {
		if e := entryOf(v); !e.known {
			strangers[e.site]++
		}
	}
	crowded := !fresh.known && fresh.site.IsValid() && !netgroup.IsLocal(fresh.site.Addr()) && strangers[fresh.site] >= maxStrangers
	if !crowded && len(m) < limit {
		return true
	}
	var key K
	var worst entry
	found := false
	for k, v := range m {
		e := entryOf(v)
		if crowded && (e.known || e.site != fresh.site) || e.known && !fresh.known {
			continue
		}
		if !found || e.givesWayBefore(worst, strangers) {
			key, worst, found = k, e, true
		}
	}
	if found {
		delete(m, key)
	}

	return found
}

func (e entry) givesWayBefore(other entry, strangers map[netip.Prefix]int) bool {
	switch {
	case e.known != other.known:
		return other.known
	case !e.known && strangers[e.site] != strangers[other.site]:
		return strangers[e.site] > strangers[other.site]
	default:
		return e.at.Before(other.at)
	}
}

// sighting is a node that was seen within SeenAge.
type sighting struct {
	entry

	side  string
	pairs int       // that it has
	up    time.Time // since when it has any; zero if it has none
}

// isKnown reports whether the node has had a pair for as long as a useful session lasts.
func (s *sighting) isKnown(now time.Time) bool {
	return s.known || !s.up.IsZero() && now.Sub(s.up) >= conduct.UsefulUptime
}

// place is the entry by which a newcomer may take the place of the node: one that has a pair keeps
// it, so that its neighbours do not make a stranger of it.
func (s *sighting) place() entry {
	e := s.entry
	e.known = e.known || s.pairs > 0

	return e
}

// paired notes a pair of the node.
func (s *sighting) paired(now time.Time) {
	if s.pairs++; s.pairs == 1 {
		s.up = now
	}
}

// unpaired notes the end of a pair that began at the time. There may have been no room for the node
// when it came up.
func (s *sighting) unpaired(since, now time.Time) {
	s.known = s.isKnown(now) || now.Sub(since) >= conduct.UsefulUptime
	if s.pairs = max(s.pairs-1, 0); s.pairs == 0 {
		s.up = time.Time{}
	}
}

// knows reports whether the node is no stranger: it is configured, or has had a pair for a
// minute within SeenAge and does not flap.
func (j *journal) knows(id types.ID) bool {
	j.mtx.Lock()
	defer j.mtx.Unlock()

	return j.isKnown(id, time.Now())
}

// isKnown is knows for a caller that holds the lock.
func (j *journal) isKnown(id types.ID, now time.Time) bool {
	return j.exempt(id) || j.wasUseful(id, now) && !j.isFlapping(id, now)
}

// wasUseful reports whether the node has had a pair for a minute within SeenAge. The caller holds
// the lock.
func (j *journal) wasUseful(id types.ID, now time.Time) bool {
	s := j.seen[id]

	return s != nil && s.isKnown(now)
}

// sight notes that a node was seen on a side, and returns what is noted of it: nothing if a
// stranger found no room. The caller holds the lock.
func (j *journal) sight(id types.ID, side string, from netip.Addr, now time.Time) *sighting {
	s := j.seen[id]
	if s == nil {
		s = &sighting{entry: entry{known: j.exempt(id), site: siteOf(from)}}
		if !makeRoomFor(j.seen, maxSeen, (*sighting).place, s.entry) {
			return nil
		}
		j.seen[id] = s
	}
	s.side, s.at = side, now

	return s
}
