package dropin

import (
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// FromEvent is gno's event as ours, or nil for one that we do not know. gno's
// events do not tell who dialed; Outbound is false.
func FromEvent(event gnoevents.Event) events.Event {
	switch e := event.(type) {
	case gnoevents.PeerConnectedEvent:
		return events.PeerConnectedEvent{PeerID: types.ID(e.PeerID), Address: e.Address}
	case gnoevents.PeerDisconnectedEvent:
		return events.PeerDisconnectedEvent{PeerID: types.ID(e.PeerID), Address: e.Address, Reason: e.Reason}
	default:
		return nil
	}
}
