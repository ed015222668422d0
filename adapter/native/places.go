package native

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var (
	errTooManyHandshakes = errors.New("too many handshakes under way")
	errEvicted           = errors.New("gave way to a newer connection before the remote sent a byte")
)

// admission gives places to inbound handshakes, as HandshakeLimits describes.
// All methods may be called concurrently.
type admission struct {
	limits HandshakeLimits

	mtx    sync.Mutex
	total  int
	groups map[netip.Prefix]int // places taken
	silent list.List            // of *place: whose remotes have not spoken, oldest first
}

// place is that of one handshake. Its fields belong to its admission, but for
// those that never change.
type place struct {
	admission *admission    // never changes
	group     netip.Prefix  // never changes
	conn      net.Conn      // never changes
	silent    *list.Element // nil once the remote has spoken
	state     placeState
}

type placeState uint8

const (
	placeTaken placeState = iota
	placeLeft
	placeEvicted
)

func newAdmission(limits HandshakeLimits) *admission {
	return &admission{limits: limits, groups: make(map[netip.Prefix]int)}
}

// enter takes a place for the connection. If another one had to give way, it is
// returned for the caller to close its connection.
func (a *admission) enter(conn net.Conn) (taken, evicted *place, err error) {
	p := &place{admission: a, group: netgroup.Host(netgroup.FromAddr(conn.RemoteAddr())), conn: conn}

	a.mtx.Lock()
	defer a.mtx.Unlock()
	switch have := a.groups[p.group]; {
	case have >= a.limits.PerIP:
		if evicted = a.oldestSilent(p.group); evicted == nil {
			return nil, nil, fmt.Errorf("%w: %d from %s", errTooManyHandshakes, have, netgroup.Name(p.group))
		}
	case a.total >= a.limits.Total:
		if evicted = a.mostCrowded(p.group); evicted == nil {
			return nil, nil, fmt.Errorf("%w: %d in total", errTooManyHandshakes, a.total)
		}
	}
	if evicted != nil {
		a.release(evicted, placeEvicted)
	}
	a.total++
	a.groups[p.group]++
	p.silent = a.silent.PushBack(p)

	return p, evicted, nil
}

// oldestSilent is the silent place of the group that was taken first, or nil. The
// caller holds mtx.
func (a *admission) oldestSilent(group netip.Prefix) *place {
	for e := a.silent.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*place); p.group == group {
			return p
		}
	}

	return nil
}

// mostCrowded is the oldest silent place in the group that has most places, or
// nil when the newcomer's group would be the most crowded and has no silent
// place. The caller holds mtx.
func (a *admission) mostCrowded(newcomer netip.Prefix) (found *place) {
	most := a.groups[newcomer]
	for e := a.silent.Front(); e != nil; e = e.Next() {
		p := e.Value.(*place)
		size := a.groups[p.group]
		if p.group == newcomer {
			size++ // with the newcomer
		}
		if size > most {
			found, most = p, size
		}
	}

	return found
}

// release gives a place back. The caller holds mtx.
func (a *admission) release(p *place, state placeState) {
	p.state = state
	a.forgetSilence(p)
	a.total--
	if a.groups[p.group]--; a.groups[p.group] == 0 {
		delete(a.groups, p.group)
	}
}

func (a *admission) forgetSilence(p *place) {
	if p.silent != nil {
		a.silent.Remove(p.silent)
		p.silent = nil
	}
}

// speak notes that the remote has sent something.
func (p *place) speak() {
	p.admission.mtx.Lock()
	defer p.admission.mtx.Unlock()
	p.admission.forgetSilence(p)
}

// leave gives the place back and reports whether it was taken away before.
func (p *place) leave() (evicted bool) {
	p.admission.mtx.Lock()
	defer p.admission.mtx.Unlock()
	if p.state == placeTaken {
		p.admission.release(p, placeLeft)
	}

	return p.state == placeEvicted
}

// placedConn tells its place when the remote has sent the first byte. One Read
// runs at a time, as in SecretConnection.
type placedConn struct {
	net.Conn
	place *place // nil once it knows
}

func (c *placedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.place != nil {
		c.place.speak()
		c.place = nil
	}

	return n, err
}

// CloseWrite lets FlushStop end one side of the connection.
func (c *placedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("close write: %w", errors.ErrUnsupported)
	}

	return half.CloseWrite()
}
