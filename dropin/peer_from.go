package dropin

import (
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// keyFrom is the key under which a gno peer keeps its counterparts, a []*fromPeer. The slice
// is replaced, never changed.
const keyFrom = "tm2-libp2p/dropin/from"

// fromPeer implements our PeerConn with gno's. Methods with the same signature are promoted.
type fromPeer struct {
	p2p.PeerConn

	// Converted once, since they do not change.
	nodeInfo   func() types.NodeInfo
	socketAddr func() *types.NetAddress
}

var _ compat.PeerConn = (*fromPeer)(nil)

// FromPeerConn returns the counterpart of a gno peer: always the same pointer for the same
// peer, and the original for a result of PeerConn. It may be called concurrently.
//
// Reset of the result returns an error. It does not call gno's Reset, which panics.
func FromPeerConn(peer p2p.PeerConn) compat.PeerConn {
	if peer == nil {
		return nil
	}
	if to, ok := peer.(*toPeer); ok {
		return to.PeerConn
	}

	return counterpart(peer, keyFrom, (*fromPeer).original, func() *fromPeer {
		return &fromPeer{
			PeerConn:   peer,
			nodeInfo:   sync.OnceValue(func() types.NodeInfo { return FromNodeInfo(peer.NodeInfo()) }),
			socketAddr: sync.OnceValue(func() *types.NetAddress { return FromNetAddress(peer.SocketAddr()) }),
		}
	})
}

func (f *fromPeer) original() p2p.PeerConn { return f.PeerConn }

func (f *fromPeer) Start() error { return fromServiceError(f.PeerConn.Start()) }

func (f *fromPeer) Stop() error { return fromServiceError(f.PeerConn.Stop()) }

func (f *fromPeer) Reset() error {
	if f.IsRunning() {
		return service.ErrAlreadyStarted
	}

	return service.ErrNoReset
}

func (f *fromPeer) OnReset() error { return service.ErrNoReset }

func (f *fromPeer) ID() types.ID { return types.ID(f.PeerConn.ID()) }

func (f *fromPeer) NodeInfo() types.NodeInfo { return f.nodeInfo() }

func (f *fromPeer) SocketAddr() *types.NetAddress { return f.socketAddr() }

func (f *fromPeer) Status() compat.ConnectionStatus {
	return FromConnectionStatus(f.PeerConn.Status())
}
