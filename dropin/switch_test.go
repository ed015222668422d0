package dropin

import (
	"errors"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newGnoSwitch returns a running gno switch with a reactor of ours.
func newGnoSwitch(t *testing.T, r *recorder) (*p2p.MultiplexSwitch, *p2p.MultiplexTransport) {
	t.Helper()
	tr := newGnoTransport(t)
	sw := p2p.NewMultiplexSwitch(tr, p2p.WithReactor("recorder", Reactor(r)))
	require.NoError(t, sw.Start())
	t.Cleanup(func() { require.NoError(t, sw.Stop()) })

	return sw, tr
}

// joinGno makes the switch of a dial that of b, at the address, until both have a peer. A handshake of
// gno's has 3 s, and its switch tells nobody of a dial that has failed: it dials again where it has not
// within 10 s.
func joinGno(t *testing.T, a, b *recorder, addr types.NetAddress) (atA, atB compat.PeerConn) {
	t.Helper()
	for range 5 {
		a.Switch.DialPeers(&addr)
		select {
		case atA = <-a.added:
			return atA, await(t, b.added)
		case <-time.After(10 * time.Second):
			t.Log("a late dial")
		}
	}
	require.FailNow(t, "every dial is late")
	panic("unreachable")
}

func TestReactorInSwitchOfGno(t *testing.T) {
	a, b := newRecorder(), newRecorder()
	a.wrap = func(p compat.PeerConn) compat.PeerConn { return &wrapped{p} }
	_, trA := newGnoSwitch(t, a)
	_, trB := newGnoSwitch(t, b)
	connected, unsubscribe := a.Switch.Subscribe(nil)
	defer unsubscribe()
	addr := FromTransport(trB).NetAddress()
	ours, in := joinGno(t, a, b, addr)
	require.IsType(t, &wrapped{}, ours, "what InitPeer returned comes back as it was")
	event := await(t, connected).(events.PeerConnectedEvent)
	require.Equal(t, trB.NetAddress().ID.String(), event.PeerID.String())

	peers := a.Switch.Peers()
	require.True(t, peers.Has(ours.ID()))
	require.Same(t, ours, peers.Get(ours.ID()))
	require.Equal(t, []compat.PeerConn{ours}, peers.List())
	require.True(t, peers.Get("g1nobody") == nil)
	require.EqualValues(t, 1, peers.NumOutbound())
	require.EqualValues(t, 0, peers.NumInbound())

	require.EqualValues(t, trA.NetAddress().ID, in.ID())
	a.Switch.Broadcast(testChannel, []byte("to all"))
	require.Equal(t, delivery{in, "to all"}, await(t, b.received))

	reason := errors.New("enough")
	a.Switch.StopPeerForError(ours, reason)
	require.Same(t, ours, await(t, a.removed))
	require.Equal(t, reason, await(t, connected).(events.PeerDisconnectedEvent).Reason)
	require.False(t, peers.Has(ours.ID()))
	require.Same(t, in, await(t, b.removed))
}

func TestPeerSetPassesChangesOn(t *testing.T) {
	r := newRecorder()
	newGnoSwitch(t, r)
	out, _ := dialed(t, newRecorder(), newRecorder())
	set := r.Switch.Peers()
	set.Add(out)
	set.Add(out)
	require.Same(t, out, set.Get(out.ID()))
	require.True(t, set.Remove(out.ID()))
	require.False(t, set.Remove(out.ID()))
	require.Empty(t, set.List())
}

// gnoNotifier is a gno switch with only Subscribe.
type gnoNotifier struct {
	p2p.Switch
	events *gnoevents.Events
}

func (n gnoNotifier) Subscribe(filter gnoevents.EventFilter) (<-chan gnoevents.Event, func()) {
	return n.events.Subscribe(filter)
}

type unknownEvent struct{}

func (unknownEvent) Type() gnoevents.EventType { return "unknown" }

func TestSubscribe(t *testing.T) {
	n := gnoNotifier{events: gnoevents.New()}
	ch, unsubscribe := FromSwitch(n).Subscribe(func(e events.Event) bool {
		return e.Type() == events.PeerDisconnected
	})
	n.events.Notify(gnoevents.PeerConnectedEvent{PeerID: "g1a"})
	n.events.Notify(unknownEvent{})
	n.events.Notify(gnoevents.PeerDisconnectedEvent{PeerID: "g1b"})
	require.Equal(t, events.PeerDisconnectedEvent{PeerID: "g1b"}, await(t, ch))

	for range 1000 { // more than a subscription buffers
		n.events.Notify(gnoevents.PeerDisconnectedEvent{PeerID: "g1b"})
	}
	unsubscribe()
	unsubscribe()
	n.events.Notify(gnoevents.PeerDisconnectedEvent{PeerID: "g1c"})
	var left int
	for e := range ch { // unsubscribing closed it
		require.Equal(t, events.PeerDisconnectedEvent{PeerID: "g1b"}, e)
		left++
	}
	require.Positive(t, left)
}
