package pex

import (
	"cmp"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// giveUpFailures is after how many failed dials in a row an address is worth
	// less than any other, even if it was connected once.
	giveUpFailures = 3

	// maxFailures bounds the count; no wait grows after it.
	maxFailures = 10

	// maxHints is how many hints one source may have in the book, and all sources
	// of one network together: two whole answers and a bit, which is more than a
	// node tries in a minute, while an attacker needs peers in 16 networks to fill
	// the book with hints, and never displaces a verified address.
	maxHints = 64

	// maxPerPeer is how many addresses one peer may have, and how many peers one
	// address: a peer moves or is reached over IPv4 and IPv6, but more is
	// somebody's attempt to have a peer missed, or an address flooded.
	maxPerPeer = 3
)

// better sorts the entries that are worth more first. Those that fail come last
// and hints after verified ones; of two alike the one of the more recent
// connection, or else told more recently, is worth more.
func better(a, b *entry) int {
	return cmp.Or(
		compareBool(a.failures < giveUpFailures, b.failures < giveUpFailures),
		compareBool(a.verified(), b.verified()),
		b.lastConnected.Compare(a.lastConnected),
		b.lastSeen.Compare(a.lastSeen),
		cmp.Compare(a.key, b.key),
	)
}

// compareBool puts true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// sorted returns the entries, the best first. The caller holds the lock.
func (b *AddrBook) sorted() []*entry {
	entries := make([]*entry, 0, len(b.entries))
	for _, e := range b.entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, better)

	return entries
}

// trim drops the entries that exceed a limit, the worst first. The caller holds
// the lock.
func (b *AddrBook) trim() {
	c := newCensus(b.maxPeers)
	for _, e := range b.sorted() {
		if !c.admit(e) {
			delete(b.entries, e.key)
		}
	}
}

// census counts the entries that are kept.
type census struct {
	room      int
	byID      map[types.ID]int
	byAddress map[string]int // IP:port
	bySource  map[types.ID]int
	byGroup   map[string]int
}

func newCensus(room int) *census {
	return &census{
		room:      room,
		byID:      make(map[types.ID]int),
		byAddress: make(map[string]int),
		bySource:  make(map[types.ID]int),
		byGroup:   make(map[string]int),
	}
}

// admit counts the entry unless it exceeds a limit. Entries that came without a
// source, as from a file of TM2, have no limit of their own.
func (c *census) admit(e *entry) bool {
	address := e.addr.DialString()
	hint := !e.verified()
	if c.room == 0 || c.byID[e.addr.ID] == maxPerPeer || c.byAddress[address] == maxPerPeer ||
		hint && e.source != "" && c.bySource[e.source] == maxHints ||
		hint && e.group != "" && c.byGroup[e.group] == maxHints {
		return false
	}
	c.room--
	c.byID[e.addr.ID]++
	c.byAddress[address]++
	if hint {
		c.bySource[e.source]++
		c.byGroup[e.group]++
	}

	return true
}
