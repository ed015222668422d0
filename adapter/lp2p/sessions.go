package lp2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// sessionKey names a session. The remote cannot name one of another peer.
type sessionKey struct {
	peer  peer.ID
	epoch control.Epoch
}

// sessionEntry is a session, or the reservation of its epoch.
type sessionEntry struct {
	session *session // nil while data streams are not let in: before and after its life
	inbound bool
}

// reserve takes the epoch of a session that begins, and counts the session as one
// that Close waits for. It refuses an epoch in use, and an inbound session above
// the limit per peer. Each success is undone by forget.
func (t *Transport) reserve(key sessionKey, inbound bool) error {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	if t.closing {
		return compat.ErrTransportClosed
	}
	if _, used := t.sessions[key]; used {
		return compat.Reject(compat.RejectInvalid, "epoch is in use")
	}
	if inbound {
		if t.inbound[key.peer] >= t.opts.limits.SessionsPerPeer {
			return compat.Reject(compat.RejectFull, "more than %d sessions of one peer", t.opts.limits.SessionsPerPeer)
		}
		t.inbound[key.peer]++
	}
	t.sessions[key] = sessionEntry{inbound: inbound}
	t.alive.Add(1)

	return nil
}

// activate lets data streams find the session.
func (t *Transport) activate(s *session) error {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	if t.closing {
		return compat.ErrTransportClosed
	}
	entry := t.sessions[s.key]
	entry.session = s
	t.sessions[s.key] = entry

	return nil
}

// deactivate hides the session from data streams, and keeps what it has counted;
// its epoch stays taken.
func (t *Transport) deactivate(key sessionKey) {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	entry := t.sessions[key]
	if entry.session != nil {
		t.metrics.retire(entry.session)
	}
	entry.session = nil
	t.sessions[key] = entry
}

// forget undoes reserve. Nothing of the session may be used afterwards.
func (t *Transport) forget(key sessionKey) {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	if t.sessions[key].inbound {
		decrement(t.inbound, key.peer)
	}
	delete(t.sessions, key)
	t.alive.Done()
}

// lookup returns the session that data streams of the connection may join.
func (t *Transport) lookup(c network.Conn, e control.Epoch) (*session, error) {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	s := t.sessions[sessionKey{peer: c.RemotePeer(), epoch: e}].session
	if s == nil || s.conn != c {
		return nil, fmt.Errorf("no session of epoch %s on this connection", e)
	}

	return s, nil
}
