package events_test

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

// A subscriber gets the events that its filter passes.
func ExampleEvents_Subscribe() {
	all := events.New()
	lost, cancel := all.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
	defer cancel()

	all.Notify(events.PeerConnectedEvent{PeerID: "g1peer", Outbound: true})
	all.Notify(events.PeerDisconnectedEvent{PeerID: "g1peer", Reason: errors.New("connection reset")})

	e := (<-lost).(events.PeerDisconnectedEvent)
	fmt.Println(e.PeerID, "is lost:", e.Reason)
	// Output: g1peer is lost: connection reset
}
