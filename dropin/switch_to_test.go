package dropin

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

func TestEvents(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	reason := errors.New("enough")
	for _, ours := range []events.Event{
		events.PeerConnectedEvent{PeerID: "g1a", Address: addr},
		events.PeerDisconnectedEvent{PeerID: "g1a", Address: addr, Reason: reason},
	} {
		require.Equal(t, ours, FromEvent(Event(ours)))
	}
	for _, unknown := range []events.Event{events.PeerRejectedEvent{}, events.DialFailedEvent{}, nil} {
		require.True(t, Event(unknown) == nil)
	}
}

// notifier is a switch with only Subscribe.
type notifier struct {
	compat.Switch
	events *events.Events
}

func (notifier) Peers() compat.PeerSet { return nil }

func (n notifier) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	return n.events.Subscribe(filter)
}

func TestSubscribeOfGno(t *testing.T) {
	n := notifier{events: events.New()}
	sw := newToSwitch(n)
	all, unsubscribeAll := sw.Subscribe(nil)
	some, unsubscribe := sw.Subscribe(func(e gnoevents.Event) bool { return e.Type() == gnoevents.PeerDisconnected })
	n.events.Notify(events.DialFailedEvent{})
	for _, id := range []string{"a", "b", "c"} { // in order
		n.events.Notify(events.PeerConnectedEvent{PeerID: "g1x"})
		n.events.Notify(events.PeerDisconnectedEvent{PeerID: "g1x", Reason: errors.New(id)})
	}
	for _, id := range []string{"a", "b", "c"} {
		require.Equal(t, gnoevents.PeerConnected, await(t, all).Type())
		require.EqualError(t, await(t, all).(gnoevents.PeerDisconnectedEvent).Reason, id)
		require.EqualError(t, await(t, some).(gnoevents.PeerDisconnectedEvent).Reason, id)
	}

	for range 1000 { // more than a subscription buffers
		n.events.Notify(events.PeerDisconnectedEvent{PeerID: "g1x"})
	}
	for _, end := range []func(){unsubscribe, unsubscribe, unsubscribeAll} {
		end()
	}
	n.events.Notify(events.PeerDisconnectedEvent{PeerID: "g1late"})
	for _, ch := range []<-chan gnoevents.Event{some, all} {
		var left int
		for e := range ch { // unsubscribing closed it
			require.Equal(t, gnoevents.PeerDisconnectedEvent{PeerID: "g1x"}, e)
			left++
		}
		require.Equal(t, 100, left)
	}
}

func TestPeerSetOfGno(t *testing.T) {
	sw := newSwitchWith(t, stacks()[0], loopbackConfig(), nil)
	set := sw.Peers()
	out, in := dialed(t, newRecorder(), newRecorder())
	gno := PeerConn(out)
	require.NoError(t, set.Add(gno))
	require.ErrorIs(t, set.Add(gno), ErrPeerInSet)
	require.NoError(t, set.Add(PeerConn(in)))
	require.True(t, set.Has(gno.ID()))
	require.Same(t, gno, set.Get(gno.ID()))
	require.Len(t, set.List(), 2)
	require.EqualValues(t, 1, set.NumOutbound())
	require.EqualValues(t, 1, set.NumInbound())
	require.True(t, set.Remove(gno.ID()))
	require.False(t, set.Remove(gno.ID()))
	require.True(t, set.Get(gno.ID()) == nil)
}

// TestFilterMayStopAPeer checks that a filter may call the switch, as with gno's switch.
func TestFilterMayStopAPeer(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		a := newGnoRecorder("recorder", testChannel)
		sw := newPatientSwitch(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": a})
		require.NoError(t, sw.Start())
		var first atomic.Pointer[gnotypes.ID]
		told, unsubscribe := sw.Subscribe(func(e gnoevents.Event) bool {
			id := first.Load()
			if c, ok := e.(gnoevents.PeerConnectedEvent); ok && id != nil && c.PeerID != *id {
				sw.StopPeerForError(sw.Peers().Get(*id), errors.New("make room"))
			}

			return e.Type() == gnoevents.PeerDisconnected
		})
		for range 2 {
			other := newPatientSwitch(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": newGnoRecorder("recorder", testChannel)})
			require.NoError(t, other.Start())
			addr := other.NetAddress()
			sw.DialPeers(&addr)
			await(t, a.added)
			first.CompareAndSwap(nil, &addr.ID)
		}
		require.Equal(t, *first.Load(), await(t, told).(gnoevents.PeerDisconnectedEvent).PeerID)
		require.Equal(t, *first.Load(), await(t, a.removed).ID())
		unsubscribe()
		require.Len(t, sw.Peers().List(), 1)
	})
}
