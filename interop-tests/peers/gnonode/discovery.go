package gnonode

import (
	"github.com/gnolang/gno/tm2/pkg/amino"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// discoveryTap is gno's discovery reactor, with reports of received messages.
type discoveryTap struct {
	*discovery.Reactor

	out *program.Reporter
}

// Receive reports each valid message and passes all messages to gno's reactor.
func (d *discoveryTap) Receive(chID byte, peer p2p.PeerConn, msg []byte) {
	var decoded discovery.Message
	if err := amino.UnmarshalAny(msg, &decoded); err == nil {
		e := protocol.Event{Event: protocol.EventDiscovery, Peer: peer.ID().String()}
		switch m := decoded.(type) {
		case *discovery.Request:
			e.Request = true
		case *discovery.Response:
			for _, addr := range m.Peers {
				e.Addrs = append(e.Addrs, addr.String())
			}
		}
		d.out.Report(e)
	}
	d.Reactor.Receive(chID, peer, msg)
}
