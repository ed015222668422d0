package dropin

import (
	"slices"
	"sync"
)

// making is held while a counterpart is made, so that no PeerConn gets two.
var making sync.Mutex

// valued is a PeerConn of either side.
type valued interface {
	comparable
	Get(key string) any
	Set(key string, value any)
}

// counterpart returns the counterpart of exactly this PeerConn, and makes it if there is
// none. A peer and its wrappers share one list of counterparts, since they share the values.
func counterpart[P valued, C comparable](peer P, key string, original func(C) P, make func() C) C {
	if known, ok := known(peer, key, original); ok {
		return known
	}

	making.Lock()
	defer making.Unlock()
	if known, ok := known(peer, key, original); ok {
		return known
	}
	made := make()
	others, _ := peer.Get(key).([]C)
	peer.Set(key, append(slices.Clip(others), made))

	return made
}

// known returns the counterpart of exactly this PeerConn, if any.
func known[P valued, C comparable](peer P, key string, original func(C) P) (counterpart C, ok bool) {
	others, _ := peer.Get(key).([]C)
	if i := slices.IndexFunc(others, func(c C) bool { return original(c) == peer }); i >= 0 {
		return others[i], true
	}

	return counterpart, false
}
