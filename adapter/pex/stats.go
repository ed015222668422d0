package pex

// Stats are the counts of a Reactor since it was built. It is a copy.
type Stats struct {
	RequestsSent     uint64 // requests that peers took
	RequestsReceived uint64 // requests within the rate limit
	RequestsLimited  uint64 // requests above the rate limit, dropped
	ResponsesSent    uint64 // answers that peers took

	ResponsesReceived    uint64 // answers that were used
	ResponsesUnrequested uint64 // responses without a request, dropped
	ResponsesLate        uint64 // responses more than 30 s after their request, dropped
	Invalid              uint64 // messages dropped for their size or content

	AddressesReceived uint64 // in the answers that were used
	AddressesSkipped  uint64 // of those, neither kept nor dialed
	AddressesAdded    uint64 // of those, new to the book

	PeersStopped   uint64 // for too many offences
	AddressesKnown int    // addresses in the book now
}

// count adds n to a field of the reactor's stats.
func (r *Reactor) count(field *uint64, n int) {
	r.statsMtx.Lock()
	defer r.statsMtx.Unlock()
	*field += uint64(n)
}

// Stats returns the counts so far. It may be called at any time.
func (r *Reactor) Stats() Stats {
	r.statsMtx.Lock()
	defer r.statsMtx.Unlock()
	s := r.stats
	if r.book != nil {
		s.AddressesKnown = r.book.Size()
	}

	return s
}
