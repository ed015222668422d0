package adapter

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// errInSet is returned when a peer with the ID is in the set.
var errInSet = errors.New("peer is in the set")

var _ compat.PeerSet = (*peerSet)(nil)

// peerSet implements compat.PeerSet, and keeps the list of its connections for
// Broadcast.
type peerSet struct {
	mtx   sync.RWMutex
	byID  map[types.ID]member
	conns atomic.Pointer[[]*connection] // replaced, never changed
}

// member is a peer in the set. The connection is nil if Add put the peer there.
type member struct {
	peer compat.PeerConn
	conn *connection
}

func newPeerSet() *peerSet {
	s := &peerSet{byID: make(map[types.ID]member)}
	s.publish()

	return s
}

// publish replaces the list of connections. The caller holds the lock.
func (s *peerSet) publish() {
	conns := make([]*connection, 0, len(s.byID))
	for _, m := range s.byID {
		if m.conn != nil {
			conns = append(conns, m.conn)
		}
	}
	s.conns.Store(&conns)
}

func (s *peerSet) insert(id types.ID, m member) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if _, ok := s.byID[id]; ok {
		return errInSet
	}
	s.byID[id] = m
	s.publish()

	return nil
}

// addConnection puts a started connection into the set.
func (s *peerSet) addConnection(c *connection) error {
	return s.insert(c.id, member{peer: c.peer, conn: c})
}

// removeConnection takes the connection out; another one with its ID stays.
func (s *peerSet) removeConnection(c *connection) {
	s.take(c.id, func(m member) bool { return m.conn == c })
}

// take removes the peer with the ID if it matches, and reports whether it did.
func (s *peerSet) take(id types.ID, matches func(member) bool) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	m, ok := s.byID[id]
	if !ok || !matches(m) {
		return false
	}
	delete(s.byID, id)
	s.publish()

	return true
}

// connections returns the connections in the set; nobody changes the slice.
func (s *peerSet) connections() []*connection { return *s.conns.Load() }

// Add implements compat.PeerSet.
func (s *peerSet) Add(peer compat.PeerConn) {
	_ = s.insert(peer.ID(), member{peer: peer}) // a peer whose ID is in the set is ignored
}

// Remove implements compat.PeerSet.
func (s *peerSet) Remove(key types.ID) bool {
	return s.take(key, func(member) bool { return true })
}

// Has implements compat.PeerSet.
func (s *peerSet) Has(key types.ID) bool { return s.Get(key) != nil }

// Get implements compat.PeerSet.
func (s *peerSet) Get(key types.ID) compat.PeerConn {
	s.mtx.RLock()
	defer s.mtx.RUnlock()

	return s.byID[key].peer
}

// List implements compat.PeerSet.
func (s *peerSet) List() []compat.PeerConn {
	s.mtx.RLock()
	defer s.mtx.RUnlock()
	peers := make([]compat.PeerConn, 0, len(s.byID))
	for _, m := range s.byID {
		peers = append(peers, m.peer)
	}

	return peers
}

// NumInbound implements compat.PeerSet.
func (s *peerSet) NumInbound() uint64 { return s.count(false) }

// NumOutbound implements compat.PeerSet.
func (s *peerSet) NumOutbound() uint64 { return s.count(true) }

func (s *peerSet) count(outbound bool) (n uint64) {
	for _, peer := range s.List() {
		if peer.IsOutbound() == outbound {
			n++
		}
	}

	return n
}
