package compattest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

func eventsPromises() []switchPromise {
	return []switchPromise{
		{"Events/Filter", testEventsFilter},
		{"Events/NilFilterPassesAll", testEventsNilFilter},
		{"Events/LossyWithBufferOf100", testEventsLossy},
		{"Events/Unsubscribe", testEventsUnsubscribe},
		{"Events/Content", testEventsContent},
		{"Events/Direction", testEventsDirection},
	}
}

// nextEvent waits for an event that is not about a dial.
func nextEvent(t *testing.T, ch <-chan events.Event) events.Event {
	t.Helper()
	for {
		ev := await(t, ch, "an event comes")
		if ev == nil || ev.Type() == events.PeerConnected || ev.Type() == events.PeerDisconnected {
			return ev
		}
	}
}

func testEventsFilter(t *testing.T, c *cluster) {
	a, b, other := c.started(t), c.started(t), c.started(t)
	ch, cancel := a.Subscribe(func(ev events.Event) bool {
		e, ok := ev.(events.PeerDisconnectedEvent)

		return ok && e.PeerID == b.id()
	})
	defer cancel()
	for _, n := range []*switchNode{other, b, other} {
		c.connect(t, a, n)
		c.disconnect(t, a, n)
	}
	ev, ok := await(t, ch, "an event comes").(events.PeerDisconnectedEvent)
	require.True(t, ok)
	require.Equal(t, b.id(), ev.PeerID)
	cancel()
	for more := await(t, ch, "the channel is closed"); more != nil; more = await(t, ch, "the channel is closed") {
		require.Positive(t, c.repeatsOf(a), "nothing else has passed")
		require.Equal(t, b.id(), more.(events.PeerDisconnectedEvent).PeerID)
	}
}

func testEventsNilFilter(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	ch, cancel := a.Subscribe(nil)
	defer cancel()
	c.connect(t, a, b)
	// A switch may tell its subscribers in any order, and connect waits for another one.
	require.Equal(t, events.PeerConnected, nextEvent(t, ch).Type())
	c.disconnect(t, a, b)
	require.Equal(t, events.PeerDisconnected, nextEvent(t, ch).Type())
}

// A subscriber that does not read misses events after the first 100. It does not block the
// switch.
func testEventsLossy(t *testing.T, c *cluster) {
	const buffered = 100
	a, b, other := c.started(t), c.started(t), c.started(t)
	ch, cancel := a.Subscribe(func(ev events.Event) bool {
		return ev.Type() == events.PeerConnected || ev.Type() == events.PeerDisconnected
	})
	defer cancel()
	const rounds = buffered/2 + 3
	for range rounds {
		c.connect(t, a, b)
		c.disconnect(t, a, b)
	}
	var got []events.Event
	for len(got) < buffered {
		got = append(got, await(t, ch, "a buffered event"))
	}
	c.connect(t, a, other)
	for {
		ev := await(t, ch, "an event after the loss")
		if up, ok := ev.(events.PeerConnectedEvent); ok && up.PeerID == other.id() {
			break
		}
		got = append(got, ev)
	}
	// One event may have been in delivery when the buffer was full.
	require.LessOrEqual(t, len(got), buffered+1, "%d events were kept of %d", len(got), 2*rounds)
	for i, ev := range got[:buffered] {
		require.Equal(t, i%2 == 0, ev.Type() == events.PeerConnected, "event %d", i)
	}
}

func testEventsUnsubscribe(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	pass := func(events.Event) bool { return true }
	ch, cancel := a.Subscribe(pass)
	kept, cancelKept := a.Subscribe(pass)
	defer cancelKept()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(cancel)
	}
	wg.Wait()
	cancel()
	require.Nil(t, await(t, ch, "the channel is closed"))
	c.connect(t, a, b)
	require.Equal(t, events.PeerConnected, nextEvent(t, kept).Type(), "another subscription goes on")
}

func testEventsContent(t *testing.T, c *cluster) {
	a, b := c.started(t), c.started(t)
	peer, _ := c.connect(t, a, b)
	c.disconnect(t, a, b)
	up, ok := a.log.kind(connected)[0].event.(events.PeerConnectedEvent)
	require.True(t, ok)
	require.Equal(t, b.id(), up.PeerID)
	require.Equal(t, peer.RemoteAddr().String(), up.Address.String())
	down, ok := a.log.kind(disconnected)[0].event.(events.PeerDisconnectedEvent)
	require.True(t, ok)
	require.Equal(t, b.id(), down.PeerID)
	require.Equal(t, peer.RemoteAddr().String(), down.Address.String())
	require.ErrorIs(t, down.Reason, errTest)
	told, ok := a.log.kind(removePeer)[0].reason.(error)
	require.True(t, ok && errors.Is(told, errTest), "RemovePeer is told the reason")
	require.NotNil(t, b.log.kind(disconnected)[0].reason, "a peer that the remote has ended")
}

func testEventsDirection(t *testing.T, c *cluster) {
	a, b := c.pair(t)
	c.disconnect(t, a, b)
	for n, outbound := range map[*switchNode]bool{a: true, b: false} {
		up, ok := n.log.kind(connected)[0].event.(events.PeerConnectedEvent)
		require.True(t, ok)
		require.Equal(t, outbound, up.Outbound)
		down, ok := n.log.kind(disconnected)[0].event.(events.PeerDisconnectedEvent)
		require.True(t, ok)
		require.Equal(t, outbound, down.Outbound)
	}
}
