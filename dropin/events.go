package dropin

import (
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

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

// Event is our event as gno's, or nil for one that gno does not know: a peer that
// was rejected, a dial that has failed.
func Event(event events.Event) gnoevents.Event {
	switch e := event.(type) {
	case events.PeerConnectedEvent:
		return gnoevents.PeerConnectedEvent{PeerID: gnotypes.ID(e.PeerID), Address: e.Address}
	case events.PeerDisconnectedEvent:
		return gnoevents.PeerDisconnectedEvent{PeerID: gnotypes.ID(e.PeerID), Address: e.Address, Reason: e.Reason}
	default:
		return nil
	}
}
