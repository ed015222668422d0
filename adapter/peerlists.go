package adapter

import (
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// peerLists are the peers that the configuration of a node names. They may change while
// the switch runs; see control.go. All methods may be called concurrently.
type peerLists struct {
	// Not changed once the switch is built.
	seeds   map[types.ID]types.NetAddress
	private map[types.ID]struct{}

	mtx           sync.RWMutex
	persistent    map[types.ID]types.NetAddress
	unconditional map[types.ID]struct{}
	blocked       map[types.ID]struct{}
}

func newPeerLists() *peerLists {
	return &peerLists{
		seeds:         make(map[types.ID]types.NetAddress),
		private:       make(map[types.ID]struct{}),
		persistent:    make(map[types.ID]types.NetAddress),
		unconditional: make(map[types.ID]struct{}),
		blocked:       make(map[types.ID]struct{}),
	}
}

// persistentAddr returns where a persistent peer is dialed.
func (l *peerLists) persistentAddr(id types.ID) (addr types.NetAddress, ok bool) {
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	addr, ok = l.persistent[id]

	return addr, ok
}

func (l *peerLists) isPersistent(id types.ID) bool {
	_, ok := l.persistentAddr(id)

	return ok
}

// setPersistent adds a persistent peer or changes its address.
func (l *peerLists) setPersistent(addr types.NetAddress) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.persistent[addr.ID] = addr
}

func (l *peerLists) removePersistent(id types.ID) (removed bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	_, removed = l.persistent[id]
	delete(l.persistent, id)

	return removed
}

func (l *peerLists) isUnconditional(id types.ID) bool {
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	_, ok := l.unconditional[id]

	return ok
}

// isExempt reports whether the limits and the guard do not apply to the peer.
func (l *peerLists) isExempt(id types.ID) bool {
	return id != "" && (l.isPersistent(id) || l.isUnconditional(id))
}

// exempt returns all persistent and unconditional peers.
func (l *peerLists) exempt() []types.ID {
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	ids := make([]types.ID, 0, len(l.persistent)+len(l.unconditional))
	for id := range l.persistent {
		ids = append(ids, id)
	}
	for id := range l.unconditional {
		if _, twice := l.persistent[id]; !twice {
			ids = append(ids, id)
		}
	}

	return ids
}

func (l *peerLists) isBlocked(id types.ID) bool {
	l.mtx.RLock()
	defer l.mtx.RUnlock()
	_, ok := l.blocked[id]

	return ok
}

// setBlocked blocks or unblocks a peer and reports whether that changed anything.
func (l *peerLists) setBlocked(id types.ID, blocked bool) (changed bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	_, was := l.blocked[id]
	if blocked {
		l.blocked[id] = struct{}{}
	} else {
		delete(l.blocked, id)
	}

	return was != blocked
}

func (l *peerLists) isPrivate(id types.ID) bool {
	_, ok := l.private[id]

	return ok
}
