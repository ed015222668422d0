package events

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func connected(i int) Event { return PeerConnectedEvent{PeerID: types.ID(fmt.Sprint(i))} }

func collect(ch <-chan Event) (got []Event) {
	for len(ch) > 0 {
		got = append(got, <-ch)
	}

	return got
}

func TestTypes(t *testing.T) {
	for want, e := range map[EventType]Event{
		PeerConnected:    PeerConnectedEvent{},
		PeerDisconnected: PeerDisconnectedEvent{},
		PeerRejected:     PeerRejectedEvent{},
		DialFailed:       DialFailedEvent{},
	} {
		require.Equal(t, want, e.Type())
	}
}

func TestSubscribersGetWhatTheyWant(t *testing.T) {
	es := New()
	es.Notify(connected(0)) // nobody listens
	all, endAll := es.Subscribe(nil)
	some, endSome := es.Subscribe(func(e Event) bool { return e.Type() == DialFailed })
	defer endAll()
	defer endSome()
	es.Notify(connected(1))
	es.Notify(DialFailedEvent{})
	es.Notify(connected(2))
	require.Equal(t, []Event{connected(1), DialFailedEvent{}, connected(2)}, collect(all))
	require.Equal(t, []Event{DialFailedEvent{}}, collect(some))
}

func TestSlowSubscriberMissesEvents(t *testing.T) {
	es := New()
	slow, endSlow := es.Subscribe(nil)
	quick, endQuick := es.Subscribe(nil)
	defer endQuick()
	var got []Event
	for i := range subscriptionBuffer + 10 {
		es.Notify(connected(i))
		got = append(got, <-quick)
	}
	kept := collect(slow)
	require.Equal(t, got[:subscriptionBuffer], kept, "the oldest are kept, in order")
	es.Notify(connected(1000))
	require.Equal(t, []Event{connected(1000)}, collect(slow))
	endSlow()
}

func TestUnsubscribe(t *testing.T) {
	es := New()
	ch, end := es.Subscribe(nil)
	es.Notify(connected(1))
	end()
	end()
	require.Equal(t, connected(1), <-ch, "what was queued can still be read")
	_, open := <-ch
	require.False(t, open)
	es.Notify(connected(2))
	require.Empty(t, es.subs)
}

func TestConcurrentUse(t *testing.T) {
	es := New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				ch, end := es.Subscribe(nil)
				es.Notify(connected(1))
				<-ch // at least the own event
				end()
				for range ch {
					continue // until closed
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, es.subs)
}

// All subscribers see events in one order, whoever notifies.
func TestOrderIsTheSameForAll(t *testing.T) {
	es := New()
	a, endA := es.Subscribe(nil)
	b, endB := es.Subscribe(nil)
	defer endA()
	defer endB()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range subscriptionBuffer / 4 {
				es.Notify(connected(100*i + j))
			}
		})
	}
	wg.Wait()
	gotA, gotB := collect(a), collect(b)
	require.Len(t, gotA, subscriptionBuffer)
	require.Equal(t, gotA, gotB)
}

// A filter may do what leads to further events; these come after its own.
func TestFilterNotifies(t *testing.T) {
	es := New()
	_, endFirst := es.Subscribe(func(e Event) bool {
		if e == connected(1) {
			es.Notify(connected(2))
			_, end := es.Subscribe(nil)
			end()
		}

		return false
	})
	defer endFirst()
	ch, end := es.Subscribe(nil)
	defer end()
	es.Notify(connected(1))
	require.Equal(t, []Event{connected(1), connected(2)}, collect(ch))
}

// While a filter does not return, others that notify go on, and so much waits.
func TestFilterBlocks(t *testing.T) {
	es := New()
	entered, leave := make(chan struct{}), make(chan struct{})
	_, endFirst := es.Subscribe(func(e Event) bool {
		if e == connected(0) {
			close(entered)
			<-leave
		}

		return false
	})
	defer endFirst()
	var wg sync.WaitGroup
	wg.Go(func() { es.Notify(connected(0)) })
	<-entered
	for i := range maxPending + 5 {
		es.Notify(connected(1 + i))
	}
	ch, end := es.Subscribe(func(e Event) bool {
		return e == connected(1) || e == connected(maxPending) || e == connected(maxPending+1)
	})
	defer end()
	close(leave)
	wg.Wait()
	require.Equal(t, []Event{connected(1), connected(maxPending)}, collect(ch))
}

func TestFilterPanics(t *testing.T) {
	es := New()
	_, end := es.Subscribe(func(Event) bool { panic("filter") })
	require.PanicsWithValue(t, "filter", func() { es.Notify(connected(1)) })
	end()
	ch, end := es.Subscribe(nil)
	defer end()
	es.Notify(connected(2))
	require.Equal(t, []Event{connected(2)}, collect(ch))
}

// Nothing comes after the end, whatever is being handed out.
func TestFilterUnsubscribes(t *testing.T) {
	es := New()
	var ch <-chan Event
	var end func()
	ch, end = es.Subscribe(func(Event) bool {
		end()

		return true
	})
	es.Notify(connected(1))
	_, open := <-ch
	require.False(t, open)
}
