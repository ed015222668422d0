// Package events tells subscribers what happens to the peers of a switch.
package events

import (
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// subscriptionBuffer is how many events wait for one subscriber before further ones are
// dropped. TM2's reactors expect that size.
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
	Address  net.Addr    // the remote address of the peer; its network is "udp" for QUIC
	Outbound bool        // this node dialed
	Stack    types.Stack // empty if the transport does not tell it
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
	Reason  error // compat.ClassifyDial tells what it means
}

// Type implements Event.
func (DialFailedEvent) Type() EventType { return DialFailed }

// maxPending bounds the events that wait while a filter runs; further ones are dropped.
const maxPending = 1024

// Events hands events to subscribers. All methods may be called concurrently.
type Events struct {
	mtx        sync.Mutex // not held while a filter runs
	subs       map[*subscription]struct{}
	pending    []Event
	delivering bool // a Notify hands out the pending events
}

type subscription struct {
	filter EventFilter
	ch     chan Event
}

// New returns Events without subscribers.
func New() *Events { return &Events{subs: make(map[*subscription]struct{})} }

// Subscribe registers for the events that pass the filter; nil passes all. The channel
// holds 100 events; further ones are dropped until it is read. The returned function ends
// the subscription and closes the channel.
//
// A filter runs within Notify, on one goroutine at a time, and all events wait for it. It
// may cause further events; they follow the one that it was asked about.
func (es *Events) Subscribe(filter EventFilter) (<-chan Event, func()) {
	s := &subscription{filter: filter, ch: make(chan Event, subscriptionBuffer)}
	es.mtx.Lock()
	defer es.mtx.Unlock()
	es.subs[s] = struct{}{}

	return s.ch, func() {
		es.mtx.Lock()
		defer es.mtx.Unlock()
		if _, subscribed := es.subs[s]; subscribed {
			delete(es.subs, s)
			close(s.ch)
		}
	}
}

// Notify hands the event to every subscriber that wants it and has room. All subscribers
// see events in the order of the calls. While another call hands out events, it leaves
// this one to that call and returns at once.
func (es *Events) Notify(event Event) {
	es.mtx.Lock()
	defer es.mtx.Unlock()
	if len(es.pending) < maxPending {
		es.pending = append(es.pending, event)
	}
	if es.delivering {
		return
	}
	es.delivering = true
	defer func() { es.delivering = false }() // also when a filter panics
	for len(es.pending) > 0 {
		event := es.pending[0]
		es.pending = es.pending[1:]
		for _, s := range slices.Collect(maps.Keys(es.subs)) {
			es.offer(s, event)
		}
	}
	es.pending = nil
}

// offer hands the event to a subscriber that wants it and has room. The caller holds the
// lock.
func (es *Events) offer(s *subscription, event Event) {
	if s.filter != nil && !es.passes(s.filter, event) {
		return
	}
	if _, subscribed := es.subs[s]; !subscribed {
		return // the filter may have ended the subscription
	}
	select {
	case s.ch <- event:
	default:
	}
}

// passes asks the filter without the lock, which the caller holds.
func (es *Events) passes(filter EventFilter, event Event) bool {
	es.mtx.Unlock()
	defer es.mtx.Lock()

	return filter(event)
}
