package dropin

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// keyTo is the key under which a peer of ours keeps its counterparts, a []*toPeer. The slice
// is replaced, never changed.
const keyTo = "tm2-libp2p/dropin/to"

// toPeer implements gno's PeerConn with ours. Methods with the same signature are promoted.
type toPeer struct {
	compat.PeerConn

	// Converted once, since they do not change.
	nodeInfo   func() gnotypes.NodeInfo
	socketAddr func() *gnotypes.NetAddress

	flushed atomic.Bool // FlushStop has stopped the peer, and Stop was not called afterwards
}

var _ p2p.PeerConn = (*toPeer)(nil)

// PeerConn returns the counterpart of a peer of ours: always the same pointer for the same
// peer, and the original for a result of FromPeerConn. It may be called concurrently.
func PeerConn(peer compat.PeerConn) p2p.PeerConn {
	if peer == nil {
		return nil
	}
	if from, ok := peer.(*fromPeer); ok {
		return from.PeerConn
	}

	return counterpart(peer, keyTo, (*toPeer).original, func() *toPeer {
		return &toPeer{
			PeerConn:   peer,
			nodeInfo:   sync.OnceValue(func() gnotypes.NodeInfo { return NodeInfo(peer.NodeInfo()) }),
			socketAddr: sync.OnceValue(func() *gnotypes.NetAddress { return NetAddress(peer.SocketAddr()) }),
		}
	})
}

func (t *toPeer) original() compat.PeerConn { return t.PeerConn }

func (t *toPeer) Start() error { return serviceError(t.PeerConn.Start()) }

// FlushStop implements gno's p2p.PeerConn.
func (t *toPeer) FlushStop() {
	running := t.PeerConn.IsRunning()
	t.PeerConn.FlushStop()
	if running && !t.PeerConn.IsRunning() {
		t.flushed.Store(true)
	}
}

// Stop stops the peer and then removes it from its transport, if Transport.Remove was
// called before. After FlushStop, the first Stop returns nil: in gno a peer still runs after
// FlushStop, and gno's switch removes a peer only when its own Stop succeeds.
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
