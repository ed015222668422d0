package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// fromReactor implements our Reactor with gno's. Methods with the same signature are
// promoted.
type fromReactor struct{ p2p.Reactor }

var _ compat.Reactor = fromReactor{}

// FromReactor converts a gno reactor for a switch of package adapter, and nil to nil. For a
// result of Reactor it returns the original. The reactor gets the switch as a gno Switch.
// Reset returns service.ErrNoReset when gno's Reset panics, as it does by default.
func FromReactor(r p2p.Reactor) compat.Reactor {
	switch r := r.(type) {
	case nil:
		return nil
	case toReactor:
		return r.Reactor
	default:
		return fromReactor{Reactor: r}
	}
}

func (r fromReactor) Start() error { return fromServiceError(r.Reactor.Start()) }

func (r fromReactor) Stop() error { return fromServiceError(r.Reactor.Stop()) }

func (r fromReactor) Reset() error { return FromService(r.Reactor).Reset() }

func (r fromReactor) SetSwitch(sw compat.Switch) { r.Reactor.SetSwitch(newToSwitch(sw)) }

func (r fromReactor) GetChannels() []*compat.ChannelDescriptor {
	return FromChannelDescriptors(r.Reactor.GetChannels())
}

func (r fromReactor) InitPeer(peer compat.PeerConn) compat.PeerConn {
	return FromPeerConn(r.Reactor.InitPeer(PeerConn(peer)))
}

func (r fromReactor) AddPeer(peer compat.PeerConn) { r.Reactor.AddPeer(PeerConn(peer)) }

func (r fromReactor) RemovePeer(peer compat.PeerConn, reason any) {
	r.Reactor.RemovePeer(PeerConn(peer), reason)
}

func (r fromReactor) Receive(chID byte, peer compat.PeerConn, msg []byte) {
	r.Reactor.Receive(chID, PeerConn(peer), msg)
}
