package lp2p

import (
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

// maxSpent bounds the delegated sessions that a listener remembers.
const maxSpent = 1 << 14

// spent remembers delegated sessions for control.MaxDelegationLife, so that a replayed Hello
// is refused. When it is full it forgets the oldest. All methods may be called concurrently.
type spent struct {
	mtx   sync.Mutex
	used  map[sessionKey]struct{}
	order []spending
}

type spending struct {
	key sessionKey
	at  time.Time
}

func newSpent() *spent { return &spent{used: make(map[sessionKey]struct{})} }

func (s *spent) add(key sessionKey, now time.Time) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	for len(s.order) > 0 && (len(s.order) >= maxSpent || now.Sub(s.order[0].at) > control.MaxDelegationLife+time.Second) {
		delete(s.used, s.order[0].key)
		s.order = s.order[1:]
	}
	s.used[key] = struct{}{}
	s.order = append(s.order, spending{key, now})
}

func (s *spent) has(key sessionKey) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	_, used := s.used[key]

	return used
}
