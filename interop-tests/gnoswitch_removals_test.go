package interoptests

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// lookAgain is the time between two looks at a gno switch that is stopping.
const lookAgain = 20 * time.Millisecond

// countedReactor is a reactor that counts its peers between InitPeer and the end of
// RemovePeer.
type countedReactor struct {
	compat.Reactor
	peers *atomic.Int64
}

func (r countedReactor) InitPeer(peer compat.PeerConn) compat.PeerConn {
	r.peers.Add(1)

	return r.Reactor.InitPeer(peer)
}

func (r countedReactor) RemovePeer(peer compat.PeerConn, reason any) {
	defer r.peers.Add(-1)
	r.Reactor.RemovePeer(peer, reason)
}

// awaitingRemovals is a gno switch whose Stop waits until all peers are removed from its
// reactors and its set. gno's Stop does not wait for the removal of a peer whose connection
// has ended before, which runs on another goroutine (switch.go, stopAndRemovePeer). But the
// suites look once Stop has returned.
type awaitingRemovals struct {
	service.Service
	peers *atomic.Int64 // of its countedReactors
	set   func() compat.PeerSet
}

func (s awaitingRemovals) Stop() error {
	if err := s.Service.Stop(); err != nil {
		return err
	}
	deadline := time.NewTimer(gnoPatience)
	defer deadline.Stop()
	looks := time.NewTicker(lookAgain)
	defer looks.Stop()
	for s.peers.Load() > 0 || len(s.set().List()) > 0 {
		select {
		case <-looks.C:
		case <-deadline.C:
			return fmt.Errorf("gno has not removed peers: reactors have %d, the set %v", s.peers.Load(), s.set().List())
		}
	}

	return nil
}
