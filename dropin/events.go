package dropin

import (
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// FromEvent converts an event from gno's type. It returns nil for a type that compat does
// not have. Outbound is false and Stack is empty, since gno's events do not tell them.
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

// Event converts an event to gno's type. It returns nil for the events that gno does not
// have: rejected peers and failed dials.
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
