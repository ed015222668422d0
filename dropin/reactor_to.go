package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// toReactor implements gno's Reactor with ours. Methods with the same signature are promoted.
type toReactor struct{ compat.Reactor }

var _ p2p.Reactor = toReactor{}

// Reactor converts a reactor to gno's type, and nil to nil. For a result of FromReactor it
// returns the original.
func Reactor(r compat.Reactor) p2p.Reactor {
	switch r := r.(type) {
	case nil:
		return nil
	case fromReactor:
		return r.Reactor
	default:
		return toReactor{Reactor: r}
	}
}

func (r toReactor) Start() error { return serviceError(r.Reactor.Start()) }

func (r toReactor) Stop() error { return serviceError(r.Reactor.Stop()) }

func (r toReactor) Reset() error { return serviceError(r.Reactor.Reset()) }

func (r toReactor) SetSwitch(sw p2p.Switch) { r.Reactor.SetSwitch(FromSwitch(sw)) }

func (r toReactor) GetChannels() []*p2p.ChannelDescriptor {
	return ChannelDescriptors(r.Reactor.GetChannels())
}

func (r toReactor) InitPeer(peer p2p.PeerConn) p2p.PeerConn {
	return PeerConn(r.Reactor.InitPeer(FromPeerConn(peer)))
}

func (r toReactor) AddPeer(peer p2p.PeerConn) { r.Reactor.AddPeer(FromPeerConn(peer)) }

func (r toReactor) RemovePeer(peer p2p.PeerConn, reason any) {
	r.Reactor.RemovePeer(FromPeerConn(peer), reason)
}

func (r toReactor) Receive(chID byte, peer p2p.PeerConn, msg []byte) {
	r.Reactor.Receive(chID, FromPeerConn(peer), msg)
}
