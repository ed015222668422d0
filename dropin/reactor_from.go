package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// fromReactor is a gno reactor as ours. What has the same signature on both sides
// is promoted.
type fromReactor struct{ p2p.Reactor }

var _ compat.Reactor = fromReactor{}

// FromReactor is a gno reactor as ours, for a switch of package adapter; nil stays
// nil, and one of ours that Reactor has converted is itself again. The reactor sees
// that switch as gno's. Reset of a reactor that cannot be
// reset, which panics in gno, returns service.ErrNoReset.
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
