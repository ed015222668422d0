package lp2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// lateScope is the scope of a connection in libp2p's resource manager. It opens once the
// remote has proved its ID. Until then an inbound connection holds a place instead, so that
// remotes that prove nothing use up none of the manager's limits. One goroutine uses it before
// it opens; another one may call Done.
type lateScope struct {
	network.ConnManagementScope // constant once it is open

	open  func(peer.ID) (network.ConnManagementScope, error)
	leave func() // gives the place back, also again; may be nil

	mtx     sync.Mutex
	opened  bool
	done    bool
	refused error // by the manager
}

func newLateScope(open func(peer.ID) (network.ConnManagementScope, error)) *lateScope {
	return &lateScope{ConnManagementScope: &network.NullScope{}, open: open}
}

// PeerScope implements network.ConnManagementScope.
func (s *lateScope) PeerScope() network.PeerScope {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if !s.opened {
		return nil
	}

	return s.ConnManagementScope.PeerScope()
}

// SetPeer implements network.ConnManagementScope. It opens the scope.
func (s *lateScope) SetPeer(p peer.ID) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.done {
		return network.ErrResourceScopeClosed
	}
	if !s.opened {
		scope, err := s.open(p)
		if err != nil {
			s.refused = err

			return err
		}
		s.ConnManagementScope, s.opened = scope, true
	}
	s.refused = s.ConnManagementScope.SetPeer(p)

	return s.refused
}

// Done implements network.ConnManagementScope. Further calls change nothing.
func (s *lateScope) Done() {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.done = true
	if s.leave != nil {
		s.leave()
	}
	s.ConnManagementScope.Done()
}
