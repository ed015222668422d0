package lp2p

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// lateScope is the scope of an inbound connection in libp2p's resource manager. It opens
// once the remote has proved its ID. Until then the connection holds a place instead, so
// that remotes that prove nothing use up none of the manager's limits. One goroutine uses
// it before it opens.
type lateScope struct {
	network.ConnManagementScope
	open    func() (network.ConnManagementScope, error)
	opened  bool
	refused error // by the manager
}

func newLateScope(open func() (network.ConnManagementScope, error)) *lateScope {
	return &lateScope{ConnManagementScope: &network.NullScope{}, open: open}
}

// PeerScope implements network.ConnManagementScope.
func (s *lateScope) PeerScope() network.PeerScope {
	if !s.opened {
		return nil
	}

	return s.ConnManagementScope.PeerScope()
}

// SetPeer implements network.ConnManagementScope. It opens the scope.
func (s *lateScope) SetPeer(p peer.ID) error {
	if !s.opened {
		scope, err := s.open()
		if err != nil {
			s.refused = err

			return err
		}
		s.ConnManagementScope, s.opened = scope, true
	}
	s.refused = s.ConnManagementScope.SetPeer(p)

	return s.refused
}
