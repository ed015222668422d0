package addrbook

import (
	"cmp"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// giveUpFailures is after how many failed dials in a row an address is worth
	// less than any other, even if the peer answered there once.
	giveUpFailures = 3

	// maxFailures bounds the count; no wait grows after it.
	maxFailures = 10

	// maxPerPeer is how many addresses one peer may have, and how many peers one
	// address: a peer moves or is reached over IPv4 and IPv6, but more is
	// somebody's attempt to have a peer missed, or an address flooded.
	maxPerPeer = 3

	// maxToldPerPeer is how many of these one source, or network of sources, may fill
	// by hints about others: what another source says has a place.
	maxToldPerPeer = 2

	// maxPerHost and maxPerNetwork are how many addresses the book may have at one
	// host, and in one network, private ones apart: else one machine with many ports
	// could have all others forgotten.
	maxPerHost    = 8
	maxPerNetwork = 128
)

// better sorts the entries that are worth more first: configured ones, then those that
// do not fail, then those that have answered, the most recent answer first, then those
// that the peer has announced, then those that were seen more recently.
func better(a, b *Entry) int {
	if c := cmp.Or(
		compareBool(a.Configured, b.Configured),
		compareBool(a.Failures < giveUpFailures, b.Failures < giveUpFailures),
		compareBool(a.HasAnswered(), b.HasAnswered()),
	); c != 0 {
		return c
	}
	if c := b.Answered.Compare(a.Answered); c != 0 {
		return c
	}
	if c := compareBool(a.Announced(), b.Announced()); c != 0 {
		return c
	}
	if c := b.Seen.Compare(a.Seen); c != 0 {
		return c
	}

	return cmp.Compare(a.key, b.key)
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
func (b *Book) sorted() []*Entry {
	entries := make([]*Entry, 0, len(b.entries))
	for _, of := range b.entries {
		entries = append(entries, of...)
	}
	slices.SortFunc(entries, better)

	return entries
}

// trim drops the entries that exceed a limit, the worst first. The caller holds
// the lock.
func (b *Book) trim() {
	c := newCensus(b.maxPeers, b.maxHints)
	c.anyPerHost = b.places.anyPerHost
	kept := make(map[types.ID][]*Entry, len(b.entries))
	for _, e := range b.sorted() {
		if c.admit(e) {
			kept[e.Addr.ID] = append(kept[e.Addr.ID], e)
		}
	}
	b.entries = kept
}

// census counts the entries that are kept.
type census struct {
	anyPerHost bool // no limit at one host

	room      int
	hints     int // of one source, and of one network of sources
	byID      map[types.ID]int
	byPlace   map[string]int // IP:port
	bySource  map[types.ID]int
	byGroup   map[string]int
	byHost    map[string]int // of the addresses
	byNetwork map[string]int
	told      map[string]int // by who told and of whom, or of where
}

func newCensus(room, hints int) *census {
	return &census{
		room:      room,
		hints:     hints,
		byID:      make(map[types.ID]int),
		byPlace:   make(map[string]int),
		bySource:  make(map[types.ID]int),
		byGroup:   make(map[string]int),
		byHost:    make(map[string]int),
		byNetwork: make(map[string]int),
		told:      make(map[string]int),
	}
}

// admit counts the entry unless it exceeds a limit. A configured one, which comes
// before all others, has none.
func (c *census) admit(e *Entry) bool {
	exceeds := c.room <= 0 || c.byID[e.Addr.ID] >= maxPerPeer || c.byPlace[e.place] >= maxPerPeer ||
		e.host != "" && !c.anyPerHost && c.byHost[e.host] >= maxPerHost ||
		e.network != "" && c.byNetwork[e.network] >= maxPerNetwork
	if !e.Configured && (exceeds || !e.HasAnswered() && !c.admitHint(e)) {
		return false
	}
	c.room--
	c.byID[e.Addr.ID]++
	c.byPlace[e.place]++
	c.byHost[e.host]++
	c.byNetwork[e.network]++

	return true
}

// admitHint counts a hint unless its source has too many, or too many about this peer or
// place: a peer may announce maxPerPeer addresses of its own. Entries that came without
// a source, as from a file of TM2, have no such limits.
func (c *census) admitHint(e *Entry) bool {
	if e.Source == "" {
		return true
	}
	source := e.group
	if source == "" {
		source = string(e.Source)
	}
	ofPeer, ofPlace := source+" "+string(e.Addr.ID), source+" "+e.place
	if c.bySource[e.Source] == c.hints || e.group != "" && c.byGroup[e.group] == c.hints ||
		!e.Announced() && (c.told[ofPeer] >= maxToldPerPeer || c.told[ofPlace] >= maxToldPerPeer) {
		return false
	}
	c.bySource[e.Source]++
	c.byGroup[e.group]++
	c.told[ofPeer]++
	c.told[ofPlace]++

	return true
}
