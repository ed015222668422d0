package interoptests

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// lookAgain is the time between two looks at a gno switch that is stopping.
const lookAgain = 20 * time.Millisecond

var errLatePeer = errors.New("added while the switch stopped")

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
// has ended before, which runs on another goroutine (switch.go, stopAndRemovePeer), and does
// not stop a peer that is added while it runs. But the suites look once Stop has returned.
type awaitingRemovals struct {
	service.Service
	peers *atomic.Int64 // of its countedReactors
	sw    compat.Switch
}

func (s awaitingRemovals) Stop() error {
	if err := s.Service.Stop(); err != nil {
		return err
	}
	deadline := time.NewTimer(gnoPatience)
	defer deadline.Stop()
	looks := time.NewTicker(lookAgain)
	defer looks.Stop()
	for s.peers.Load() > 0 || len(s.sw.Peers().List()) > 0 {
		select {
		case <-looks.C:
			s.stopLatePeers()
		case <-deadline.C:
			return fmt.Errorf("gno has not removed peers: reactors have %d, the set %v", s.peers.Load(), s.sw.Peers().List())
		}
	}

	return nil
}

// stopLatePeers stops the peers that were added while the switch stopped. A peer that gno is
// removing does not run any more.
func (s awaitingRemovals) stopLatePeers() {
	for _, p := range s.sw.Peers().List() {
		if p.IsRunning() {
			s.sw.StopPeerForError(p, errLatePeer)
		}
	}
}
