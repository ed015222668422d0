package dropin

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// keyTo is where a peer of ours keeps its counterparts, a []*toPeer. The slice
// is replaced, never changed.
const keyTo = "tm2-libp2p/dropin/to"

// toPeer is a PeerConn of ours as gno's. What has the same signature on both
// sides is promoted.
type toPeer struct {
	compat.PeerConn

	// A peer's description does not change; it is converted once.
	nodeInfo   func() gnotypes.NodeInfo
	socketAddr func() *gnotypes.NetAddress

	flushed atomic.Bool // FlushStop has stopped the peer, and Stop was not called since
}

var _ p2p.PeerConn = (*toPeer)(nil)

// PeerConn is a peer of ours as gno's, always the same for the same peer; the
// counterpart of one of gno's is that one itself. It may be called concurrently.
func PeerConn(peer compat.PeerConn) p2p.PeerConn {
	if peer == nil {
		return nil
	}
	if from, ok := peer.(*fromPeer); ok {
		return from.PeerConn
	}
	if known := knownTo(peer); known != nil {
		return known
	}

	making.Lock()
	defer making.Unlock()
	if known := knownTo(peer); known != nil {
		return known
	}
	made := &toPeer{
		PeerConn:   peer,
		nodeInfo:   sync.OnceValue(func() gnotypes.NodeInfo { return NodeInfo(peer.NodeInfo()) }),
		socketAddr: sync.OnceValue(func() *gnotypes.NetAddress { return NetAddress(peer.SocketAddr()) }),
	}
	others, _ := peer.Get(keyTo).([]*toPeer)
	peer.Set(keyTo, append(slices.Clip(others), made))

	return made
}

// knownTo returns the counterpart of exactly this PeerConn; wrappers of one peer
// share its values.
func knownTo(peer compat.PeerConn) *toPeer {
	known, _ := peer.Get(keyTo).([]*toPeer)
	for _, t := range known {
		if t.PeerConn == peer {
			return t
		}
	}

	return nil
}

func (t *toPeer) Start() error { return serviceError(t.PeerConn.Start()) }

// FlushStop implements gno's p2p.PeerConn.
func (t *toPeer) FlushStop() {
	running := t.PeerConn.IsRunning()
	t.PeerConn.FlushStop()
	if running && !t.PeerConn.IsRunning() {
		t.flushed.Store(true)
	}
}

// Stop also does what Transport.Remove has left. A peer of gno still runs after
// FlushStop: gno's switch removes it only if it is the one that stops it.
func (t *toPeer) Stop() error {
	err := t.PeerConn.Stop()
	r, ok := t.PeerConn.Get(keyRelease).(*release)
	if !ok {
		return serviceError(err)
	}
	r.run()
	if errors.Is(err, service.ErrAlreadyStopped) && t.flushed.CompareAndSwap(true, false) {
		return nil
	}

	return serviceError(err)
}

func (t *toPeer) Reset() error { return serviceError(t.PeerConn.Reset()) }

func (t *toPeer) ID() gnotypes.ID { return gnotypes.ID(t.PeerConn.ID()) }

func (t *toPeer) NodeInfo() gnotypes.NodeInfo { return t.nodeInfo() }

func (t *toPeer) SocketAddr() *gnotypes.NetAddress { return t.socketAddr() }

func (t *toPeer) Status() p2p.ConnectionStatus { return ConnectionStatus(t.PeerConn.Status()) }
