package discovery

import (
	"sync/atomic"
	"time"
)

type counters struct {
	walks, refreshes, searches, found         atomic.Uint64
	hints, peersDropped, peersRefused         atomic.Uint64
	queriesSent, queriesFailed, queriesServed atomic.Uint64
}

// Stats says what discovery has done since its start, and has now.
type Stats struct {
	Table   int // members of the routing table
	Known   int // peers in the book, at most 2048
	Refused int // of those, peers of other networks
	Conns   int // connections held for queries

	Walks     uint64 // lookups of random keys, and of this node's own
	Refreshes uint64
	Searches  uint64 // lookups of peers that were not at their addresses
	Found     uint64 // of those, the successful ones
	Hints     uint64 // addresses given to the switch

	QueriesSent   uint64 // and answered
	QueriesFailed uint64
	QueriesServed uint64 // of others, whatever came of them

	PeersDropped uint64 // of responses, for not being believable or wanted
	PeersRefused uint64 // found to be of another network
}

// Stats returns a snapshot. Before Start it is zero.
func (d *Discovery) Stats() Stats {
	table := d.table.Load()
	if table == nil {
		return Stats{}
	}
	c := &d.counters
	s := Stats{
		Table: table.Size(), Conns: d.pool.size(),
		Walks: c.walks.Load(), Refreshes: c.refreshes.Load(), Searches: c.searches.Load(), Found: c.found.Load(),
		Hints: c.hints.Load(), QueriesSent: c.queriesSent.Load(), QueriesFailed: c.queriesFailed.Load(),
		QueriesServed: c.queriesServed.Load(), PeersDropped: c.peersDropped.Load(), PeersRefused: c.peersRefused.Load(),
	}
	s.Known, s.Refused = d.book.size(time.Now())

	return s
}
