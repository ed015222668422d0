package lp2p

import (
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// sessionKey names a session. It has the peer ID, so that no remote can name the session of
// another one.
type sessionKey struct {
	peer  peer.ID
	epoch control.Epoch
}

// sessionEntry is a session, or the reservation of its epoch.
type sessionEntry struct {
	session *session // nil unless it is active: then data streams may join it
	inbound bool
	counted bool // in running
}

// sessions are the sessions of one transport.
type sessions struct {
	perPeer int            // limit of inbound sessions of one libp2p peer
	retire  func(*session) // called with the lock held for each session that is deactivated
	alive   sync.WaitGroup // reservations and sessions

	mtx     sync.Mutex
	closed  bool // nothing is reserved or activated any more
	entries map[sessionKey]*sessionEntry
	inbound map[peer.ID]int // reservations and sessions
	running map[peer.ID]int // those that have been activated, of both directions
}

func newSessions(perPeer int) *sessions {
	return &sessions{
		perPeer: perPeer, entries: make(map[sessionKey]*sessionEntry),
		inbound: make(map[peer.ID]int), running: make(map[peer.ID]int),
	}
}

// close refuses further sessions and returns those that are active.
func (ss *sessions) close() []*session {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()
	ss.closed = true

	return ss.active()
}

// active returns the active sessions. The caller holds the lock.
func (ss *sessions) active() (active []*session) {
	for _, entry := range ss.entries {
		if entry.session != nil {
			active = append(active, entry.session)
		}
	}

	return active
}

// reserve takes the epoch of a new session, for which Close waits until forget. It refuses
// an epoch in use, and an inbound session above the limit per peer.
func (ss *sessions) reserve(key sessionKey, inbound bool) error {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	if ss.closed {
		return compat.ErrTransportClosed
	}
	if _, used := ss.entries[key]; used {
		return compat.Reject(compat.RejectInvalid, "epoch is in use")
	}
	if inbound {
		if ss.inbound[key.peer] >= ss.perPeer {
			return compat.Reject(compat.RejectFull, "more than %d sessions of one peer", ss.perPeer)
		}
		ss.inbound[key.peer]++
	}
	ss.entries[key] = &sessionEntry{inbound: inbound}
	ss.alive.Add(1)

	return nil
}

// activate lets data streams find the session.
func (ss *sessions) activate(s *session) error {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	if ss.closed {
		return compat.ErrTransportClosed
	}
	entry := ss.entries[s.key]
	entry.session, entry.counted = s, true
	ss.running[s.key.peer]++

	return nil
}

// of counts the sessions of a libp2p peer that may have data streams, also those that are
// about to close them.
func (ss *sessions) of(p peer.ID) int {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	return ss.running[p]
}

// deactivate undoes activate, and keeps what the session has counted. The epoch stays
// reserved.
func (ss *sessions) deactivate(key sessionKey) {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	if entry := ss.entries[key]; entry.session != nil {
		ss.retire(entry.session)
		entry.session = nil
	}
}

// forget undoes reserve. Nothing of the session may be used afterwards.
func (ss *sessions) forget(key sessionKey) {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	entry := ss.entries[key]
	if entry.inbound {
		decrement(ss.inbound, key.peer)
	}
	if entry.counted {
		decrement(ss.running, key.peer)
	}
	delete(ss.entries, key)
	ss.alive.Done()
}

// lookup returns the session that data streams of the connection may join.
func (ss *sessions) lookup(c network.Conn, e control.Epoch) (*session, error) {
	ss.mtx.Lock()
	defer ss.mtx.Unlock()

	entry := ss.entries[sessionKey{peer: c.RemotePeer(), epoch: e}]
	if entry == nil || entry.session == nil || entry.session.conn != c {
		return nil, fmt.Errorf("no session of epoch %s on this connection", e)
	}

	return entry.session, nil
}
