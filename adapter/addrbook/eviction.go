package addrbook

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// giveUpFailures is after how many failed dials in a row an address is worth less than any
	// other. One at which the peer has answered must also have failed for giveUpTime, unless
	// another peer was found there: a peer that cannot be reached for an evening is still a
	// better one than a hint.
	giveUpFailures = 3
	giveUpTime     = 24 * time.Hour

	// maxFailures bounds the count; no wait grows after it.
	maxFailures = 10

	// maxPerPeer is how many addresses one peer may have, and how many peers one
	// endpoint. A peer moves, or has IPv4 and IPv6; more addresses are an attempt to
	// hide the peer or to flood an endpoint.
	maxPerPeer = 3

	// maxToldPerPeer is how many of these one source, or one network of sources, may
	// fill with hints about others, so that hints from another source fit in.
	maxToldPerPeer = 2

	// maxPerHost and maxPerNetwork are how many addresses the book may have at one
	// host, and in one network, private ones apart: else one machine with many ports
	// could have all others forgotten.
	maxPerHost    = 8
	maxPerNetwork = 128

	// networkShare is the share of a full book that one network keeps against addresses of others:
	// an eighth, and not less than maxPerHost. Beyond it even addresses that have answered give way,
	// since all of one attacker's do. The book of a bridge is so small that maxPerNetwork does not
	// bound them.
	networkShare = 8
)

// better sorts the entries that are worth more first: configured ones, then those that
// are not given up, then anchors, then those that have answered, the most recent answer first,
// then those that the peer has announced, from the same host before others, then those that
// were seen more recently.
func better(a, b *Entry) int {
	if c := cmp.Or(
		compareBool(a.Configured, b.Configured),
		compareBool(!a.isGivenUp(), !b.isGivenUp()),
		compareBool(a.Anchor, b.Anchor),
		compareBool(a.HasAnswered(), b.HasAnswered()),
	); c != 0 {
		return c
	}
	if c := b.Answered.Compare(a.Answered); c != 0 {
		return c
	}
	if c := cmp.Or(compareBool(a.atHome(), b.atHome()), compareBool(a.Announced(), b.Announced())); c != 0 {
		return c
	}
	if c := b.Seen.Compare(a.Seen); c != 0 {
		return c
	}

	return cmp.Compare(a.key, b.key)
}

// isGivenUp reports whether the address has failed so often, and for so long, that any other is better.
func (e *Entry) isGivenUp() bool {
	return e.isFailing() && (!e.HasAnswered() || e.failedFor >= giveUpTime)
}

// isFailing reports whether the address has failed often enough to be given up, if perhaps not for long.
func (e *Entry) isFailing() bool { return e.Failures >= giveUpFailures }

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
	c := census{book: b, counts: make(map[key]int)}
	var admitted []*Entry
	for _, e := range b.sorted() {
		if c.admit(e) {
			admitted = append(admitted, e)
		}
	}
	kept := make(map[types.ID][]*Entry, len(b.entries))
	for _, e := range b.fitting(admitted) {
		kept[e.Addr.ID] = append(kept[e.Addr.ID], e)
	}
	b.entries = kept
}

// fitting returns as many of the entries, which are sorted, as the book has places for. The first to
// go are those that are given up, those that fail and have half of the book before them, and those
// beyond the share of their network, the worst first. Configured ones stay, and do not count in their
// network. The caller holds the lock.
func (b *Book) fitting(entries []*Entry) []*Entry {
	if len(entries) <= b.maxPeers {
		return entries
	}
	share, configured, failing := max(maxPerHost, b.maxPeers/networkShare), 0, 0
	counts := make(map[string]int)
	var first, rest []*Entry
	for _, e := range entries {
		switch {
		case e.Configured:
			configured++
			first = append(first, e)
		case e.isGivenUp(), e.isFailing() && failing >= b.maxPeers/2, e.network != "" && counts[e.network] >= share:
			rest = append(rest, e)
		default:
			counts[e.network]++
			if e.isFailing() {
				failing++
			}
			first = append(first, e)
		}
	}

	return append(first, rest...)[:max(b.maxPeers, configured)]
}

// census counts the entries that are kept.
type census struct {
	book   *Book
	counts map[key]int
}

// key names what is counted, as the host with a name.
type key struct{ kind, name string }

// limit is how many entries may share a key; one without a name does not hold.
type limit struct {
	key
	most int
}

// admit counts the entry unless it exceeds a limit other than the size of the book. A configured
// one, which comes before all others, has none.
func (c *census) admit(e *Entry) bool {
	limits := append(make([]limit, 0, 8),
		limit{key{"peer", string(e.Addr.ID)}, maxPerPeer},
		limit{key{"endpoint", e.endpoint}, maxPerPeer},
		limit{key{"host", c.book.endpoints.countedHost(e.host)}, maxPerHost},
		limit{key{"network", e.network}, maxPerNetwork},
	)
	if !e.HasAnswered() && !e.Configured {
		limits = append(limits, c.hintLimits(e)...)
	}
	for _, l := range limits {
		if !e.Configured && l.name != "" && c.counts[l.key] >= l.most {
			return false
		}
	}
	for _, l := range limits {
		c.counts[l.key]++
	}

	return true
}

// hintLimits bounds the hints of one source, and those about one peer or endpoint: a peer
// may announce maxPerPeer addresses of its own. Entries without a source, as from a file of
// TM2, have no such limits.
func (c *census) hintLimits(e *Entry) []limit {
	if e.Source == "" {
		return nil
	}
	told := maxToldPerPeer
	if e.Announced() {
		told = math.MaxInt
	}
	source := cmp.Or(e.group, string(e.Source))

	return []limit{
		{key{"hints of", string(e.Source)}, c.book.maxHints},
		{key{"hints from", e.group}, c.book.maxHints},
		{key{"told by", source + " of " + string(e.Addr.ID)}, told},
		{key{"told by", source + " at " + e.endpoint}, told},
	}
}
