// Package events tells subscribers what happens to the peers of a switch.
package events

import (
	"net"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// subscriptionBuffer is how many events wait for one subscriber before further
// ones are dropped for it; TM2's reactors expect that size.
const subscriptionBuffer = 100

// EventType names a kind of event.
type EventType string

// The kinds of events.
const (
	// PeerConnected: a peer is in the set and known to all reactors.
	PeerConnected EventType = "PeerConnected"
	// PeerDisconnected: a peer has left the set and all reactors.
	PeerDisconnected EventType = "PeerDisconnected"
	// PeerRejected: a connection whose remote has proved its ID was refused.
	PeerRejected EventType = "PeerRejected"
	// DialFailed: an address could not be dialed.
	DialFailed EventType = "DialFailed"
)

// Event is one thing that happened.
type Event interface {
	// Type returns the kind of the event.
	Type() EventType
}

// EventFilter reports whether a subscriber wants the event. It is called on the
// goroutine that notifies and must not block.
type EventFilter func(Event) bool

// PeerConnectedEvent is sent after every reactor's AddPeer.
type PeerConnectedEvent struct {
	PeerID   types.ID
	Address  net.Addr // the remote address of the peer
	Outbound bool     // this node dialed
}

// Type implements Event.
func (PeerConnectedEvent) Type() EventType { return PeerConnected }

// PeerDisconnectedEvent is sent after every reactor's RemovePeer.
type PeerDisconnectedEvent struct {
	PeerID   types.ID
	Address  net.Addr // the remote address of the peer
	Reason   error    // nil when the switch stopped the peer without an error
	Outbound bool     // this node dialed
}

// Type implements Event.
func (PeerDisconnectedEvent) Type() EventType { return PeerDisconnected }

// PeerRejectedEvent is sent once when the switch refuses a connection whose
// remote has proved its ID: before any reactor has seen the peer, or after the
// RemovePeer of those that have initialised it.
type PeerRejectedEvent struct {
	PeerID   types.ID
	Address  net.Addr
	Reason   error // a *compat.RejectError, possibly wrapped
	Outbound bool
}

// Type implements Event.
func (PeerRejectedEvent) Type() EventType { return PeerRejected }

// DialFailedEvent is sent when a dial ends without a verified connection.
type DialFailedEvent struct {
	Address types.NetAddress
	Reason  error
}

// Type implements Event.
func (DialFailedEvent) Type() EventType { return DialFailed }

// Events hands events to subscribers. The zero value is not usable; all methods
// may be called concurrently.
type Events struct {
	mtx  sync.Mutex
	next uint64
	subs map[uint64]*subscription
}

type subscription struct {
	filter  EventFilter
	ch      chan Event
	dropped uint64
}

// New returns Events without subscribers.
func New() *Events { return &Events{subs: make(map[uint64]*subscription)} }

// Subscribe registers for the events that pass the filter; nil passes all. The
// channel holds 100 events; further ones are dropped until it is read. The
// returned function ends the subscription and closes the channel.
func (es *Events) Subscribe(filter EventFilter) (<-chan Event, func()) {
	es.mtx.Lock()
	defer es.mtx.Unlock()

	id := es.next
	es.next++
	s := &subscription{filter: filter, ch: make(chan Event, subscriptionBuffer)}
	es.subs[id] = s

	return s.ch, func() {
		es.mtx.Lock()
		defer es.mtx.Unlock()
		if _, ok := es.subs[id]; ok {
			delete(es.subs, id)
			close(s.ch)
		}
	}
}

// Notify hands the event to every subscriber that wants it and has room. It
// does not block, and all subscribers see events in the order of the calls.
func (es *Events) Notify(event Event) {
	es.mtx.Lock()
	defer es.mtx.Unlock()

	for _, s := range es.subs {
		if s.filter != nil && !s.filter(event) {
			continue
		}
		select {
		case s.ch <- event:
		default:
			s.dropped++
		}
	}
}

// Dropped returns how many events current subscribers have missed.
func (es *Events) Dropped() uint64 {
	es.mtx.Lock()
	defer es.mtx.Unlock()

	var n uint64
	for _, s := range es.subs {
		n += s.dropped
	}

	return n
}
