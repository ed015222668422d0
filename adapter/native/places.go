package native

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

var (
	errTooManyHandshakes = errors.New("too many handshakes under way")
	errEvicted           = errors.New("gave way to a newer connection before the remote sent a byte")
)

// places are those of the inbound handshakes, as HandshakeLimits describes. All methods
// may be called concurrently.
type places struct {
	limits HandshakeLimits

	mtx    sync.Mutex
	total  int
	groups map[netip.Prefix]int // places taken
	silent list.List            // of *place: whose remotes have not spoken, oldest first
}

// place is that of one handshake. places.mtx guards silent and state; the other fields
// never change.
type place struct {
	places *places
	group  netip.Prefix
	conn   net.Conn
	silent *list.Element // nil once the remote has spoken
	state  placeState
}

type placeState uint8

const (
	placeTaken placeState = iota
	placeLeft
	placeEvicted
)

func newPlaces(limits HandshakeLimits) *places {
	return &places{limits: limits, groups: make(map[netip.Prefix]int)}
}

// take takes a place for the connection. If another connection has to make room, its
// place is returned, and the caller closes the connection.
func (ps *places) take(conn net.Conn) (taken, evicted *place, err error) {
	p := &place{places: ps, group: netgroup.Host(netgroup.FromAddr(conn.RemoteAddr())), conn: conn}

	ps.mtx.Lock()
	defer ps.mtx.Unlock()
	have := ps.groups[p.group]
	if have >= ps.limits.PerIP || ps.total >= ps.limits.Total {
		if evicted = ps.evictable(p.group, have); evicted == nil {
			return nil, nil, fmt.Errorf("%w: %d from %s, %d in total", errTooManyHandshakes, have, netgroup.Name(p.group), ps.total)
		}
		ps.release(evicted, placeEvicted)
	}
	ps.total++
	ps.groups[p.group]++
	p.silent = ps.silent.PushBack(p)

	return p, evicted, nil
}

// evictable returns the oldest silent place in the group that has most places, the
// newcomer counted. If the newcomer's group is at its limit, only that group counts. It
// returns nil if the newcomer's group would be the largest and has no silent place. The
// caller holds mtx.
func (ps *places) evictable(newcomer netip.Prefix, have int) (found *place) {
	most := have
	for e := ps.silent.Front(); e != nil; e = e.Next() {
		p := e.Value.(*place)
		size := ps.groups[p.group]
		if p.group == newcomer {
			size++
		} else if have >= ps.limits.PerIP {
			continue
		}
		if size > most {
			found, most = p, size
		}
	}

	return found
}

// release gives a place back. The caller holds mtx.
func (ps *places) release(p *place, state placeState) {
	p.state = state
	ps.forgetSilence(p)
	ps.total--
	if ps.groups[p.group]--; ps.groups[p.group] == 0 {
		delete(ps.groups, p.group)
	}
}

func (ps *places) forgetSilence(p *place) {
	if p.silent != nil {
		ps.silent.Remove(p.silent)
		p.silent = nil
	}
}

// speak notes that the remote has sent something.
func (p *place) speak() {
	p.places.mtx.Lock()
	defer p.places.mtx.Unlock()
	p.places.forgetSilence(p)
}

// leave gives the place back and reports whether it had been evicted.
func (p *place) leave() (evicted bool) {
	p.places.mtx.Lock()
	defer p.places.mtx.Unlock()
	if p.state == placeTaken {
		p.places.release(p, placeLeft)
	}

	return p.state == placeEvicted
}

// placedConn notes the first byte of the remote in its place. One Read runs at a time,
// as in SecretConnection.
type placedConn struct {
	net.Conn
	place *place // nil after the first byte
}

func (c *placedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.place != nil {
		c.place.speak()
		c.place = nil
	}

	return n, err
}

// silent reports whether the remote has sent nothing. No Read runs.
func (c *placedConn) silent() bool { return c.place != nil }

// CloseWrite lets FlushStop end one side of the connection.
func (c *placedConn) CloseWrite() error { return closeWrite(c.Conn) }

// SyscallConn lets the secret connection set options of the socket.
func (c *placedConn) SyscallConn() (syscall.RawConn, error) { return syscallConn(c.Conn) }

func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("close write: %w", errors.ErrUnsupported)
	}

	return half.CloseWrite()
}

func syscallConn(conn net.Conn) (syscall.RawConn, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is not a socket: %w", conn, errors.ErrUnsupported)
	}

	return socket.SyscallConn()
}
