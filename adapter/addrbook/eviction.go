package addrbook

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

	// maxToldPerPeer is how many of these one source, or network of sources, may fill
	// by hints: others have a place for what they say.
	maxToldPerPeer = 2

	// maxPerHost and maxPerNetwork are how many addresses the book may have at one
	// host, and in one network, private ones apart: else one machine with many ports
	// could have all others forgotten.
	maxPerHost    = 8
	maxPerNetwork = 128
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
	byHost    map[string]int // of the addresses
	byNetwork map[string]int
	told      map[string]int // by who told and of whom, or of where
}

func newCensus(room int) *census {
	return &census{
		room:      room,
		byID:      make(map[types.ID]int),
		byAddress: make(map[string]int),
		bySource:  make(map[types.ID]int),
		byGroup:   make(map[string]int),
		byHost:    make(map[string]int),
		byNetwork: make(map[string]int),
		told:      make(map[string]int),
	}
}

// admit counts the entry unless it exceeds a limit.
func (c *census) admit(e *entry) bool {
	address := e.addr.DialString()
	host, network := hostOf(e.addr.IP), networkOf(e.addr.IP)
	if c.room == 0 || c.byID[e.addr.ID] == maxPerPeer || c.byAddress[address] == maxPerPeer ||
		host != "" && c.byHost[host] == maxPerHost ||
		network != "" && c.byNetwork[network] == maxPerNetwork ||
		!e.verified() && !c.admitHint(e, address) {
		return false
	}
	c.room--
	c.byID[e.addr.ID]++
	c.byAddress[address]++
	c.byHost[host]++
	c.byNetwork[network]++

	return true
}

// admitHint counts a hint unless its source has too many. Entries that came without
// a source, as from a file of TM2, have no such limits.
func (c *census) admitHint(e *entry, address string) bool {
	if e.source == "" {
		return true
	}
	source := e.group
	if source == "" {
		source = string(e.source)
	}
	ofPeer, ofAddress := source+" "+string(e.addr.ID), source+" "+address
	if c.bySource[e.source] == maxHints || e.group != "" && c.byGroup[e.group] == maxHints ||
		c.told[ofPeer] == maxToldPerPeer || c.told[ofAddress] == maxToldPerPeer {
		return false
	}
	c.bySource[e.source]++
	c.byGroup[e.group]++
	c.told[ofPeer]++
	c.told[ofAddress]++

	return true
}
