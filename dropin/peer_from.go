package dropin

import (
	"slices"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// keyFrom is where a gno peer keeps its counterparts, a []*fromPeer. The slice
// is replaced, never changed.
const keyFrom = "tm2-libp2p/dropin/from"

// making serialises the making of counterparts, so that no PeerConn gets two.
var making sync.Mutex

// fromPeer is a gno PeerConn as ours. What has the same signature on both sides
// is promoted.
type fromPeer struct {
	p2p.PeerConn

	// A peer's description does not change; it is converted once.
	nodeInfo   func() types.NodeInfo
	socketAddr func() *types.NetAddress
}

var _ compat.PeerConn = (*fromPeer)(nil)

// FromPeerConn is a gno peer as ours, always the same for the same peer; the
// counterpart of one of ours is that one itself. It may be called concurrently.
//
// Reset of the result never reaches gno, whose peers panic there.
func FromPeerConn(peer p2p.PeerConn) compat.PeerConn {
	if peer == nil {
		return nil
	}
	if to, ok := peer.(*toPeer); ok {
		return to.PeerConn
	}
	if known := knownFrom(peer); known != nil {
		return known
	}

	making.Lock()
	defer making.Unlock()
	if known := knownFrom(peer); known != nil {
		return known
	}
	made := &fromPeer{
		PeerConn:   peer,
		nodeInfo:   sync.OnceValue(func() types.NodeInfo { return FromNodeInfo(peer.NodeInfo()) }),
		socketAddr: sync.OnceValue(func() *types.NetAddress { return FromNetAddress(peer.SocketAddr()) }),
	}
	others, _ := peer.Get(keyFrom).([]*fromPeer)
	peer.Set(keyFrom, append(slices.Clip(others), made))

	return made
}

// knownFrom returns the counterpart of exactly this PeerConn; wrappers of one
// peer share its values.
func knownFrom(peer p2p.PeerConn) *fromPeer {
	known, _ := peer.Get(keyFrom).([]*fromPeer)
	for _, f := range known {
		if f.PeerConn == peer {
			return f
		}
	}

	return nil
}

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
