// Package events tells subscribers what happens to the peers of a switch.
package events

import (
	"maps"
	"net"
	"slices"
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
	Reason  error // compat.ClassifyDial tells what it means
}

// Type implements Event.
func (DialFailedEvent) Type() EventType { return DialFailed }

// maxPending bounds the events that wait for a filter that does not return.
const maxPending = 1024

// Events hands events to subscribers. The zero value is not usable; all methods
// may be called concurrently.
type Events struct {
	mtx        sync.Mutex // held neither while a filter runs nor while an event is handed out
	next       uint64
	subs       map[uint64]*subscription
	pending    []Event
	delivering bool   // a Notify is handing out what is pending
	lost       uint64 // events that were too many to wait
}

type subscription struct {
	filter EventFilter

	mtx     sync.Mutex
	ch      chan Event
	ended   bool
	dropped uint64
}

// New returns Events without subscribers.
func New() *Events { return &Events{subs: make(map[uint64]*subscription)} }

// Subscribe registers for the events that pass the filter; nil passes all. The
// channel holds 100 events; further ones are dropped until it is read. The
// returned function ends the subscription and closes the channel.
//
// A filter runs within Notify, on one goroutine at a time. It may call whatever it
// likes, also what leads to further events; these come after the one that it has
// been asked about. All events wait for it to return.
func (es *Events) Subscribe(filter EventFilter) (<-chan Event, func()) {
	es.mtx.Lock()
	defer es.mtx.Unlock()

	id := es.next
	es.next++
	s := &subscription{filter: filter, ch: make(chan Event, subscriptionBuffer)}
	es.subs[id] = s

	return s.ch, func() {
		es.mtx.Lock()
		delete(es.subs, id)
		es.mtx.Unlock()
		s.end()
	}
}

// Notify hands the event to every subscriber that wants it and has room. All
// subscribers see events in the order of the calls. While another call hands out an
// event, it leaves this one to that call and returns at once.
func (es *Events) Notify(event Event) {
	if !es.enqueue(event) {
		return
	}
	// A filter that panics must not end all events for ever.
	defer es.endDelivery()
	for {
		event, subs, ok := es.dequeue()
		if !ok {
			return
		}
		for _, s := range subs {
			s.offer(event)
		}
	}
}

// enqueue reports whether the caller has to hand out what is pending.
func (es *Events) enqueue(event Event) bool {
	es.mtx.Lock()
	defer es.mtx.Unlock()
	if len(es.pending) >= maxPending {
		es.lost++

		return false
	}
	es.pending = append(es.pending, event)
	if es.delivering {
		return false
	}
	es.delivering = true

	return true
}

// dequeue returns the next event and who is subscribed; without an event it ends
// the delivery, so that the next Notify begins one.
func (es *Events) dequeue() (Event, []*subscription, bool) {
	es.mtx.Lock()
	defer es.mtx.Unlock()
	if len(es.pending) == 0 {
		es.pending, es.delivering = nil, false

		return nil, nil, false
	}
	event := es.pending[0]
	es.pending = es.pending[1:]

	return event, slices.Collect(maps.Values(es.subs)), true
}

func (es *Events) endDelivery() {
	if p := recover(); p != nil {
		es.mtx.Lock()
		es.delivering = false
		es.mtx.Unlock()
		panic(p)
	}
}

// Dropped returns how many events current subscribers have missed.
func (es *Events) Dropped() uint64 {
	es.mtx.Lock()
	n, subs := es.lost, slices.Collect(maps.Values(es.subs))
	es.mtx.Unlock()
	for _, s := range subs {
		n += s.missed()
	}

	return n
}

// offer hands over an event that the subscriber wants, if it has room.
func (s *subscription) offer(event Event) {
	if s.filter != nil && !s.filter(event) {
		return
	}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended {
		return
	}
	select {
	case s.ch <- event:
	default:
		s.dropped++
	}
}

func (s *subscription) end() {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if !s.ended {
		s.ended = true
		close(s.ch)
	}
}

func (s *subscription) missed() uint64 {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.dropped
}
