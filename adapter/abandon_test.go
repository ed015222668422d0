package adapter

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// failing is a peer that does not start.
type failing struct{ compat.PeerConn }

func (f *failing) Start() error { return errTest }

// Three reactors: something goes wrong after the first has initialised the peer.
// Whoever has initialised it hears of its removal, once; nobody of its arrival.
func TestRemovePeerFollowsInitPeer(t *testing.T) {
	seen, unseen := []string{"init", "remove"}, []string(nil)
	for name, c := range map[string]struct {
		second        func(sw *MultiplexSwitch, p compat.PeerConn) compat.PeerConn // its InitPeer
		want2, want3  []string
		code          compat.RejectCode
		is            error
		stillRefusing bool // the switch has stopped
	}{
		"Start fails": {
			second: func(_ *MultiplexSwitch, p compat.PeerConn) compat.PeerConn { return &failing{p} },
			want2:  seen, want3: seen, is: errTest,
		},
		"InitPeer panics": {
			second: func(*MultiplexSwitch, compat.PeerConn) compat.PeerConn { panic(errTest) },
			want2:  []string{"init"}, want3: unseen, is: errTest,
		},
		"InitPeer returns no peer": {
			second: func(*MultiplexSwitch, compat.PeerConn) compat.PeerConn { return nil },
			want2:  seen, want3: unseen,
		},
		"InitPeer stops the peer": {
			second: func(sw *MultiplexSwitch, p compat.PeerConn) compat.PeerConn {
				sw.StopPeerForError(p, errTest)

				return p
			},
			want2: seen, want3: unseen, is: errTest,
		},
		"InitPeer stops the peer for no reason": {
			second: func(sw *MultiplexSwitch, p compat.PeerConn) compat.PeerConn {
				sw.StopPeerForError(p, nil)

				return p
			},
			want2: seen, want3: unseen, is: errPeerStopped,
		},
		"InitPeer refuses the peer": {
			second: func(sw *MultiplexSwitch, p compat.PeerConn) compat.PeerConn {
				sw.StopPeerForError(p, compat.Reject(compat.RejectBanned, "seen before"))

				return p
			},
			want2: seen, want3: unseen, code: compat.RejectBanned,
		},
		"the switch stops": {
			second: func(sw *MultiplexSwitch, p compat.PeerConn) compat.PeerConn {
				go sw.Stop()
				// In the bubble no time passes before everybody else waits.
				task.Sleep(context.Background(), time.Nanosecond)

				return p
			},
			want2: seen, want3: unseen, code: compat.RejectClosing, stillRefusing: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				a, b := newNode(t, network), newNode(t, network)
				second, third := newTestReactor(0x30), newTestReactor(0x31)
				WithReactor("second", second)(b.MultiplexSwitch)
				WithReactor("third", third)(b.MultiplexSwitch)

				first := &wrapped{}
				b.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { first.PeerConn = p; return first }
				second.onInit = func(p compat.PeerConn) compat.PeerConn { return c.second(b.MultiplexSwitch, p) }
				var reason any
				b.reactor.onRemove = func(p compat.PeerConn, r any) {
					if name != "Start fails" {
						require.Same(t, first, p)
					}
					require.False(t, p.IsRunning())
					require.False(t, b.Peers().Has(p.ID()))
					reason = r
				}
				evs, cancel := b.Subscribe(nil)
				defer cancel()
				defer start(t, a, b)()
				a.DialPeers(b.addr())
				pass(time.Second)

				require.Equal(t, seen, b.reactor.entries())
				require.Equal(t, c.want2, second.entries())
				require.Equal(t, c.want3, third.entries())
				got := collect(evs)
				require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(got))
				refusal := got[0].(events.PeerRejectedEvent)
				require.Equal(t, a.id(), refusal.PeerID)
				require.False(t, refusal.Outbound)
				require.Equal(t, reason, refusal.Reason)
				requireCode(t, c.code, refusal.Reason)
				if c.is != nil {
					require.ErrorIs(t, refusal.Reason, c.is)
				}

				require.Empty(t, a.Peers().List())
				require.Zero(t, b.tr.NumPeers())
				requireForgotten(t, b)
				if c.stillRefusing {
					return
				}
				second.onInit, b.reactor.onRemove = nil, nil
				connect(t, a, b)
			})
		})
	}
}

// requireForgotten checks that the switch holds nothing for any peer.
func requireForgotten(t *testing.T, n *node) {
	t.Helper()
	require.Empty(t, n.registry.byID)
	require.Empty(t, n.registry.spots)
	require.Zero(t, n.registry.taken[slotInbound])
	require.Zero(t, n.registry.taken[slotOutbound])
	n.conns.Range(func(any, any) bool { require.Fail(t, "a peer is still known"); return false })
}

// halfStarted begins to run, and fails to start when it is told to.
type halfStarted struct {
	compat.PeerConn
	fail chan struct{}
}

func (h *halfStarted) Start() error {
	if err := h.PeerConn.Start(); err != nil {
		return err
	}
	<-h.fail

	return errTest
}

// A peer may begin to deliver and then fail to start: the removal waits for
// Receive, and nothing of the peer runs on.
func TestStartFailsDuringReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		var half *halfStarted
		b.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			half = &halfStarted{p, make(chan struct{})}

			return half
		}
		leave := make(chan struct{})
		b.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		evs, cancel := b.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		synctest.Wait()
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("1")))
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("2")))
		synctest.Wait()
		close(half.fail)
		synctest.Wait()
		require.False(t, half.IsRunning())
		require.Equal(t, []string{"init", "receive 1"}, b.reactor.entries())
		require.Empty(t, collect(evs))

		close(leave)
		synctest.Wait()
		require.Equal(t, []string{"init", "receive 1", "remove"}, b.reactor.entries())
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(collect(evs)))
		require.Empty(t, a.Peers().List())
		requireForgotten(t, b)
	})
}

// A peer that dials us is refused by an event of ours, one that we dial too.
func TestOutboundPeerThatDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { return &failing{p} }
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(b.addr())
		synctest.Wait()
		got := collect(evs)
		require.Equal(t, []events.EventType{events.PeerRejected}, eventTypes(got))
		require.True(t, got[0].(events.PeerRejectedEvent).Outbound)
		require.Equal(t, []string{"init", "remove"}, a.reactor.entries())
		requireForgotten(t, a)
	})
}
