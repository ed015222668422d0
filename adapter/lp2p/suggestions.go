package lp2p

import (
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	maxSuggested      = 4    // addresses of one peer
	maxSuggestedPeers = 1024 // peers with suggestions
)

// suggestions are further addresses of peers, for as long as the transport lives
// or until they are replaced. The zero value is empty.
type suggestions struct {
	mtx   sync.Mutex
	addrs map[types.ID][]types.NetAddress // never changed in place
}

func (s *suggestions) set(id types.ID, addrs []types.NetAddress) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	delete(s.addrs, id)
	if len(addrs) == 0 {
		return
	}
	if s.addrs == nil {
		s.addrs = make(map[types.ID][]types.NetAddress)
	}
	for old := range s.addrs {
		if len(s.addrs) < maxSuggestedPeers {
			break
		}
		delete(s.addrs, old)
	}
	s.addrs[id] = addrs
}

func (s *suggestions) of(id types.ID) []types.NetAddress {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.addrs[id]
}
