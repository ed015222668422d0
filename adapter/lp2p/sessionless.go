package lp2p

import (
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

var errNoRoom = errors.New("had no session, and gave way to another connection")

// sessionless knows the inbound connections without a session. When a connection of a remote
// finds no room, the one of them gives way that package places chooses: of the most crowded
// network. A connection with a session never does, nor one whose session is being opened, nor
// one of a configured peer. All methods may be called concurrently.
type sessionless struct {
	places  *places.Places // of those that may give way; libp2p's resource manager limits them
	opening sync.Mutex     // held until a newcomer has the room that another connection has left

	// Set before the host listens. Without exempt nobody gives way, as in a host that only dials.
	exempt  func(peer.ID) bool
	blocked func(netip.Addr, peer.ID) bool // who is refused later, and must make nobody give way
	close   func(network.Conn)             // does not wait
}

func newSessionless() *sessionless {
	return &sessionless{places: places.New(places.Limits{Total: math.MaxInt, PerHost: math.MaxInt})}
}

// isExempt reports whether a peer is configured. The ID is empty where it is not known.
func (sl *sessionless) isExempt(p peer.ID) bool { return p != "" && sl.exempt != nil && sl.exempt(p) }

// admit opens the scope of a connection of the peer from the IP, in place of another connection if open
// finds no room. The ID is empty where it is not known.
func (sl *sessionless) admit(
	from netip.Addr, p peer.ID, open func() (network.ConnManagementScope, error),
) (*inboundScope, error) {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	scope, err := open()
	if errors.Is(err, network.ErrResourceLimitExceeded) && sl.exempt != nil && !sl.blocked(from, p) &&
		sl.places.GiveWay(from, sl.isExempt(p)) {
		scope, err = open()
	}
	if err != nil {
		return nil, err
	}

	return &inboundScope{ConnManagementScope: scope, of: sl, from: from}, nil
}

// inboundScope is the scope of an inbound connection. From SetPeer on the connection may have
// to give way, except while it is kept.
type inboundScope struct {
	network.ConnManagementScope
	of   *sessionless
	from netip.Addr

	mtx     sync.Mutex
	isSet   bool // SetPeer has been
	exempt  bool
	keepers int
	place   *places.Place // nil: it does not give way
	ended   bool          // it has given way, or Done has been called
	evicted bool
	conn    network.Conn // nil until libp2p shows it
}

// SetPeer implements network.ConnManagementScope.
func (s *inboundScope) SetPeer(p peer.ID) error {
	if err := s.ConnManagementScope.SetPeer(p); err != nil {
		return err
	}
	exempt := s.of.isExempt(p)
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.isSet, s.exempt = true, exempt
	s.enter()

	return nil
}

// Done implements network.ConnManagementScope. Further calls change nothing.
func (s *inboundScope) Done() {
	s.mtx.Lock()
	s.ended = true
	s.leave()
	s.mtx.Unlock()
	s.ConnManagementScope.Done()
}

// enter lets the connection give way unless it must not. The caller holds the lock.
func (s *inboundScope) enter() {
	if s.isSet && !s.exempt && !s.ended && s.keepers == 0 {
		s.place, _ = s.of.places.Take(s.from, false, s.giveWay) // these places have no limit
	}
}

// leave undoes enter. The caller holds the lock.
func (s *inboundScope) leave() {
	if s.place != nil {
		s.place.Leave()
		s.place = nil
	}
}

// giveWay frees the room of the connection at once, and closes the connection soon.
func (s *inboundScope) giveWay() {
	s.mtx.Lock()
	s.ended, s.evicted = true, true
	c := s.conn
	s.mtx.Unlock()
	s.ConnManagementScope.Done()
	if c != nil {
		s.of.close(c)
	}
}

// show tells the scope its connection, which it closes if that has given way already.
func (s *inboundScope) show(c network.Conn) {
	s.mtx.Lock()
	s.conn = c
	evicted := s.evicted
	s.mtx.Unlock()
	if evicted {
		s.of.close(c)
	}
}

// keep lets the connection not give way until the returned function is called, once. One that
// has given way already ends all the same.
func (s *inboundScope) keep() (yield func()) {
	if s == nil {
		return func() {}
	}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.keepers++
	s.leave()

	return func() {
		s.mtx.Lock()
		defer s.mtx.Unlock()
		s.keepers--
		s.enter()
	}
}

// inboundScopeOf returns the scope of a connection, or nil if that is none that a remote has
// opened.
func inboundScopeOf(c network.Conn) *inboundScope {
	scope := c.Scope()
	if late, ok := scope.(*lateScope); ok {
		scope = late.ConnManagementScope
	}
	s, _ := scope.(*inboundScope)

	return s
}

// connected notes a connection that libp2p shows.
func (t *Transport) connected(_ network.Network, c network.Conn) {
	if s := inboundScopeOf(c); s != nil {
		s.show(c)
	}
}

// closeCrowded closes a connection that has given way, without waiting. While the transport is
// being closed the host does so.
func (t *Transport) closeCrowded(c network.Conn) {
	if t.enter() != nil {
		return
	}
	t.logInbound(slog.LevelInfo, c, "inbound connection closed", "no room",
		"err", errNoRoom)
	go func() {
		defer t.tasks.Done()
		t.closeConn(c)
	}()
}

// openInbound opens the scope of an inbound connection. A configured peer, which has proved its
// ID, has no limits for its IP. p is empty for a peer that has proved none yet.
func (g guardedResources) openInbound(
	usefd bool, from multiaddr.Multiaddr, p peer.ID,
) (network.ConnManagementScope, error) {
	ip, exempt, counted := ipOf(from), g.sessionless.isExempt(p), from
	if exempt {
		counted = nil // by which the manager counts
	} else if !g.rate.Allow(ip) {
		return nil, errConnRate
	}
	scope, err := g.sessionless.admit(ip, p, func() (network.ConnManagementScope, error) {
		return g.ResourceManager.OpenConnection(network.DirInbound, usefd, counted)
	})
	if err != nil {
		return nil, exceeded(err) // no typed nil
	}

	return scope, nil
}

// openProved is openInbound where the resource manager is the transport's own.
func openProved(
	resources network.ResourceManager, usefd bool, from multiaddr.Multiaddr, p peer.ID,
) (network.ConnManagementScope, error) {
	if g, ok := resources.(guardedResources); ok {
		return g.openInbound(usefd, from, p)
	}

	return resources.OpenConnection(network.DirInbound, usefd, from)
}
