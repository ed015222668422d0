package lp2p

import (
	"sync"
	"time"
)

// maxSpent bounds the delegations that a listener remembers.
const maxSpent = 1 << 14

// spent remembers the delegated sessions of the last maxDelegationLife, so that none
// of them is accepted again: at most maxSpent, then the oldest is forgotten. All
// methods may be called concurrently.
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
