package adapter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var errTest = errors.New("test reason")

func TestLifecycleOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		second := newTestReactor(0x30)
		WithReactor("second", second)(a.MultiplexSwitch)

		var peer compat.PeerConn
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			require.False(t, p.IsRunning())
			require.False(t, a.Peers().Has(b.id()))

			return p
		}
		a.reactor.onAdd = func(p compat.PeerConn) {
			require.True(t, p.IsRunning())
			require.Same(t, p, a.Peers().Get(b.id()))
			require.Empty(t, second.count("add"), "reactors are told in order")
			peer = p
		}
		a.reactor.onRemove = func(p compat.PeerConn, reason any) {
			require.False(t, p.IsRunning())
			require.True(t, a.Peers().Has(b.id()), "leaves the set after RemovePeer")
			require.Equal(t, errTest, reason)
		}
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		connect(t, a, b)
		require.True(t, peer.IsOutbound())
		require.EqualValues(t, 1, a.Peers().NumOutbound())
		require.EqualValues(t, 1, b.Peers().NumInbound())

		a.StopPeerForError(peer, errTest)
		require.False(t, a.Peers().Has(b.id()))
		synctest.Wait()
		require.False(t, b.Peers().Has(a.id()))
		require.Zero(t, a.tr.NumPeers())
		require.Zero(t, b.tr.NumPeers())
		require.Equal(t, []string{"init", "add", "remove"}, a.reactor.entries())
		require.Equal(t, []string{"init", "add", "remove"}, second.entries())
		require.Equal(t, []string{"init", "add", "remove"}, b.reactor.entries())
		require.Equal(t, []events.Event{
			events.PeerConnectedEvent{PeerID: b.id(), Address: peer.RemoteAddr(), Outbound: true},
			events.PeerDisconnectedEvent{PeerID: b.id(), Address: peer.RemoteAddr(), Reason: errTest, Outbound: true},
		}, collect(evs))

		a.StopPeerForError(peer, errTest)
		require.Equal(t, 1, a.reactor.count("remove"), "stopping twice removes once")
	})
}

func TestStopPeerForErrorIgnoresStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		former := a.Peers().Get(b.id())
		a.StopPeerForError(former, nil)
		synctest.Wait()
		connect(t, a, b)

		a.StopPeerForError(former, errTest)
		a.StopPeerForError(nil, errTest)
		synctest.Wait()
		require.True(t, a.Peers().Has(b.id()), "a peer is removed by its connection, not its ID")
	})
}

func TestStopPeerWithinReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		b.reactor.onReceive = func(_ byte, p compat.PeerConn, _ []byte) {
			b.StopPeerForError(p, errTest)
			require.False(t, p.IsRunning())
			require.Zero(t, b.reactor.count("remove"), "the removal waits for Receive")
			require.True(t, b.Peers().Has(a.id()))
		}
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("x")))
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "receive x", "remove"}, b.reactor.entries())
		require.Empty(t, b.Peers().List())
	})
}

func TestStopPeerWithinAddPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		second := newTestReactor(0x30)
		WithReactor("second", second)(b.MultiplexSwitch)
		b.reactor.onAdd = func(p compat.PeerConn) {
			b.StopPeerForError(p, errTest)
			require.Zero(t, b.reactor.count("remove"), "RemovePeer never precedes AddPeer")
		}
		evs, cancel := b.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "remove"}, b.reactor.entries())
		require.Equal(t, []string{"init", "add", "remove"}, second.entries())
		require.Equal(t, []events.EventType{events.PeerConnected, events.PeerDisconnected}, eventTypes(collect(evs)))
	})
}

func TestNoReceiveOverlapsRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		entered, leave := make(chan struct{}), make(chan struct{})
		b.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			close(entered)
			<-leave
		}
		peer := a.Peers().Get(b.id())
		require.True(t, peer.Send(chA, []byte("1")))
		require.True(t, peer.Send(chA, []byte("2")))
		<-entered
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		synctest.Wait()
		require.Zero(t, b.reactor.count("remove"))

		close(leave)
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "receive 1", "remove"}, b.reactor.entries())
	})
}

func TestReconnectWaitsForRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network, WithMaxInboundPeers(1))
		defer start(t, a, b)()
		connect(t, a, b)
		leave := make(chan struct{})
		b.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("1")))
		synctest.Wait()
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		synctest.Wait()
		a.DialPeers(b.addr())
		synctest.Wait()
		require.Equal(t, 1, b.reactor.count("init"), "InitPeer follows RemovePeer")
		require.True(t, b.Peers().Has(a.id()), "the last slot is still the former connection's")

		close(leave)
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "receive 1", "remove", "init", "add"}, b.reactor.entries())
		require.True(t, a.Peers().Has(b.id()))
	})
}

func TestReconnectGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		leave := make(chan struct{})
		b.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("1")))
		synctest.Wait()
		b.StopPeerForError(b.Peers().Get(a.id()), errTest)
		synctest.Wait()
		evs, cancel := b.Subscribe(nil)
		defer cancel()
		a.DialPeers(b.addr())
		pass(formerTimeout)

		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(got))
		requireCode(t, compat.RejectDuplicate, got[0].(events.PeerRejectedEvent).Reason)
		close(leave)
	})
}

func requireCode(t *testing.T, code compat.RejectCode, err error) {
	t.Helper()
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, code, reject.Code)
}

func TestPanics(t *testing.T) {
	boom := errors.New("boom")
	set := map[string]func(*testReactor){
		"InitPeer":   func(r *testReactor) { r.onInit = func(compat.PeerConn) compat.PeerConn { panic(boom) } },
		"AddPeer":    func(r *testReactor) { r.onAdd = func(compat.PeerConn) { panic(boom) } },
		"RemovePeer": func(r *testReactor) { r.onRemove = func(compat.PeerConn, any) { panic(boom) } },
		"Receive":    func(r *testReactor) { r.onReceive = func(byte, compat.PeerConn, []byte) { panic(boom) } },
	}
	want := map[string][]string{
		"InitPeer":   {"init"},
		"AddPeer":    {"init", "add", "remove"},
		"RemovePeer": {"init", "add", "receive x", "remove"},
		"Receive":    {"init", "add", "receive x", "remove"},
	}
	for callback, arm := range set {
		t.Run(callback, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				a, b, other := newNode(t, network), newNode(t, network), newNode(t, network)
				defer start(t, a, b, other)()
				connect(t, other, b)
				b.reactor.mtx.Lock()
				b.reactor.log = nil
				b.reactor.mtx.Unlock()
				arm(b.reactor)
				evs, cancel := b.Subscribe(nil)
				defer cancel()

				a.DialPeers(b.addr())
				synctest.Wait()
				if p := a.Peers().Get(b.id()); p != nil {
					p.Send(chA, []byte("x"))
					synctest.Wait()
				}
				if p := b.Peers().Get(a.id()); p != nil {
					b.StopPeerForError(p, boom)
				}
				synctest.Wait()
				require.Equal(t, want[callback], b.reactor.entries())
				require.False(t, b.Peers().Has(a.id()))
				require.False(t, a.Peers().Has(b.id()))
				require.True(t, b.Peers().Has(other.id()), "another peer is not disturbed")
				requirePanic(t, callback, boom, collect(evs))
			})
		})
	}
}

// requirePanic checks the reason of the last event.
func requirePanic(t *testing.T, callback string, value error, evs []events.Event) {
	t.Helper()
	require.NotEmpty(t, evs)
	var reason error
	switch e := evs[len(evs)-1].(type) {
	case events.PeerDisconnectedEvent:
		reason = e.Reason
	case events.PeerRejectedEvent:
		reason = e.Reason
	}
	require.ErrorIs(t, reason, value)
	if callback == "RemovePeer" {
		return // the peer was stopped for another reason
	}
	var p *PanicError
	require.ErrorAs(t, reason, &p)
	require.Equal(t, callback, p.Callback)
	require.Equal(t, "test", p.Reactor)
	require.Contains(t, string(p.Stack), "lifecycle_test.go")
}

// wrapped is a peer as a reactor may replace it.
type wrapped struct{ compat.PeerConn }

func TestInitPeerReplacesThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		second := newTestReactor(0x30)
		WithReactor("second", second)(b.MultiplexSwitch)
		var first, last *wrapped
		b.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { first = &wrapped{p}; return first }
		second.onInit = func(p compat.PeerConn) compat.PeerConn { last = &wrapped{p}; return last }
		b.reactor.onReceive = func(_ byte, p compat.PeerConn, _ []byte) { require.Same(t, last, p) }
		b.reactor.onAdd = func(p compat.PeerConn) { require.Same(t, last, p) }
		b.reactor.onRemove = func(p compat.PeerConn, _ any) { require.Same(t, last, p) }
		defer start(t, a, b)()
		for _, handle := range []func() compat.PeerConn{
			func() compat.PeerConn { return first },
			func() compat.PeerConn { return last },
			func() compat.PeerConn { return first.PeerConn },
		} {
			connect(t, a, b)
			require.Same(t, last, b.Peers().Get(a.id()))
			require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("x")))
			synctest.Wait()
			b.StopPeerForError(handle(), errTest)
			synctest.Wait()
			require.False(t, b.Peers().Has(a.id()))
		}
		require.Equal(t, 3, b.reactor.count("receive x"))
		require.Equal(t, 3, b.reactor.count("remove"))
		var tracked int
		b.conns.Range(func(any, any) bool { tracked++; return true })
		require.Zero(t, tracked)
	})
}

// stopCounter is a wrapper that has something to do when it is stopped.
type stopCounter struct {
	compat.PeerConn
	stops int
}

func (s *stopCounter) Stop() error {
	s.stops++

	return s.PeerConn.Stop()
}

// A wrapper that knows nothing of reasons hides the peer's power to tell them.
func TestReasonReachesTheRemoteOfAWrappedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		wrapper := new(stopCounter)
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { wrapper.PeerConn = p; return wrapper }
		evs, cancel := b.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		connect(t, a, b)
		a.StopPeerForError(wrapper, compat.Reject(compat.RejectBanned, "misbehaved"))
		synctest.Wait()
		require.Equal(t, 1, wrapper.stops)
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerConnected, events.PeerDisconnected}, eventTypes(got))
		requireCode(t, compat.RejectBanned, got[1].(events.PeerDisconnectedEvent).Reason)
	})
}

func TestDialFromWithinAddPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		first := true
		a.reactor.onAdd = func(p compat.PeerConn) {
			if !first {
				return
			}
			first = false
			a.StopPeerForError(p, errTest)
			task.Sleep(context.Background(), time.Second) // until b knows
			a.DialPeers(b.addr())
		}
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		pass(5 * time.Second)
		require.True(t, a.Peers().Has(b.id()))
		require.Equal(t, 2, a.reactor.count("add"))
	})
}

// stoppedEarly is stopped by somebody while it starts.
type stoppedEarly struct {
	compat.PeerConn
	sw *MultiplexSwitch
}

func (s *stoppedEarly) Start() error {
	s.sw.StopPeerForError(s, errTest)

	return s.PeerConn.Start()
}

func TestPeerStoppedWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		b.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { return &stoppedEarly{p, b.MultiplexSwitch} }
		b.reactor.onAdd = func(p compat.PeerConn) { require.False(t, p.IsRunning()) }
		evs, cancel := b.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "remove"}, b.reactor.entries())
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerConnected, events.PeerDisconnected}, eventTypes(got))
		require.Equal(t, errTest, got[1].(events.PeerDisconnectedEvent).Reason)
		require.Empty(t, b.Peers().List())
		require.Empty(t, a.Peers().List())
	})
}

func TestPeerStoppedBehindTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		defer stop()
		require.NoError(t, a.Peers().Get(b.id()).Stop())
		synctest.Wait()
		require.Equal(t, []string{"init", "add", "remove"}, a.reactor.entries())
		require.Equal(t, []string{"init", "add", "remove"}, b.reactor.entries())
		connect(t, a, b)
		b.Peers().Get(a.id()).FlushStop()
		synctest.Wait()
		require.Empty(t, a.Peers().List())
		require.Empty(t, b.Peers().List())
	})
}
