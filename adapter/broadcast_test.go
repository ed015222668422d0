package adapter

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

func TestBroadcastReachesEveryPeerInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		nodes := []*node{hub}
		for range 4 {
			nodes = append(nodes, newNode(t, network))
		}
		defer start(t, nodes...)()
		for _, n := range nodes[1:] {
			connect(t, n, hub)
		}
		const messages = 900 // many more than the peers' queues hold
		want := []string{"init", "add"}
		for i := range messages {
			hub.Broadcast(chA, fmt.Appendf(nil, "%d", i))
			want = append(want, fmt.Sprintf("receive %d", i))
		}
		synctest.Wait()
		for _, n := range nodes[1:] {
			require.Equal(t, want, n.reactor.entries())
		}
		for _, c := range hub.peers.connections() {
			require.Empty(t, c.out.backlogs, "no backlog remains")
		}
		require.Zero(t, hub.BroadcastsDropped())
	})
}

func TestBroadcastSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		one := newNodeOn(t, network.NewTransport(chA), nil) // does not announce chB
		defer start(t, hub, one)()
		connect(t, one, hub)
		hub.Broadcast(chB, []byte("x"))
		hub.Broadcast(0x77, []byte("x"))
		hub.Broadcast(chA, nil)
		synctest.Wait()
		require.Equal(t, []string{"init", "add"}, one.reactor.entries())
		require.True(t, hub.Peers().Has(one.id()), "a peer without the channel is left alone")
		require.Empty(t, hub.peers.connections()[0].out.backlogs)
	})
}

// A peer that hangs on one channel neither blocks Broadcast, nor other peers, nor
// is it kept for ever.
func TestBroadcastToAPeerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, stuck, live := newNode(t, network), newNode(t, network), newNode(t, network)
		leave := make(chan struct{})
		stuck.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
		evs, cancel := hub.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
		defer cancel()
		defer start(t, hub, stuck, live)()
		defer close(leave)
		connect(t, stuck, hub)
		connect(t, live, hub)
		begin := time.Now()
		for i := range 100 {
			hub.Broadcast(chA, fmt.Appendf(nil, "%d", i))
		}
		require.Zero(t, time.Since(begin))
		synctest.Wait()
		require.Equal(t, 1, live.reactor.count("receive 99"))
		require.True(t, hub.Peers().Has(stuck.id()))

		pass(compat.SendTimeout)
		require.False(t, hub.Peers().Has(stuck.id()))
		require.True(t, hub.Peers().Has(live.id()))
		got := collect(evs)
		require.Len(t, got, 1)
		require.ErrorIs(t, got[0].(events.PeerDisconnectedEvent).Reason, ErrBroadcastStalled)
		require.EqualValues(t, 100-5, hub.BroadcastsDropped(), "one being received and four queued were taken")
	})
}

func TestBroadcastOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		messages, size int
	}{
		"messages": {messages: 5 + 1 + maxBacklogMessages + 1, size: 1},
		"bytes":    {messages: 5 + 1 + 16 + 1, size: maxBacklogBytes / 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				hub, stuck := newNode(t, network), newNode(t, network)
				leave := make(chan struct{})
				stuck.reactor.onReceive = func(byte, compat.PeerConn, []byte) { <-leave }
				evs, cancel := hub.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
				defer cancel()
				defer start(t, hub, stuck)()
				defer close(leave)
				connect(t, stuck, hub)

				msg := make([]byte, c.size)
				for range c.messages - 1 {
					hub.Broadcast(chA, msg)
					synctest.Wait()
				}
				require.True(t, hub.Peers().Has(stuck.id()))
				hub.Broadcast(chA, msg)
				hub.Broadcast(chA, msg)
				synctest.Wait()
				require.False(t, hub.Peers().Has(stuck.id()))
				got := collect(evs)
				require.Len(t, got, 1)
				require.ErrorIs(t, got[0].(events.PeerDisconnectedEvent).Reason, ErrBroadcastOverflow)
				require.EqualValues(t, c.messages-5, hub.BroadcastsDropped(), "nothing was taken after the first that found no place")
			})
		})
	}
}

// A peer that is blocked on one channel still gets the broadcasts of another.
// The in-memory stack has a queue for each channel but one delivery goroutine,
// so the sending side is what is observed.
func TestBlockedChannelDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, slow := newNode(t, network), newNode(t, network)
		var half *halfBlocked
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			half = &halfBlocked{PeerConn: p, unblock: make(chan struct{})}

			return half
		}
		defer start(t, hub, slow)()
		connect(t, slow, hub)
		for i := range 50 {
			hub.Broadcast(chA, fmt.Appendf(nil, "a%d", i))
			hub.Broadcast(chB, fmt.Appendf(nil, "b%d", i))
		}
		synctest.Wait()
		require.Zero(t, slow.reactor.count("receive a0"))
		require.Equal(t, 1, slow.reactor.count("receive b49"))
		close(half.unblock)
		synctest.Wait()
		require.Equal(t, 1, slow.reactor.count("receive a49"))
	})
}

// halfBlocked takes nothing on chA until it is unblocked.
type halfBlocked struct {
	compat.PeerConn
	unblock chan struct{}
}

func (h *halfBlocked) TrySend(ch byte, msg []byte) bool {
	return ch != chA && h.PeerConn.TrySend(ch, msg)
}

func (h *halfBlocked) Send(ch byte, msg []byte) bool {
	if ch == chA {
		<-h.unblock
	}

	return h.PeerConn.Send(ch, msg)
}

// taker takes everything, without a stack.
type taker struct{ compat.PeerConn }

func (taker) TrySend(byte, []byte) bool { return true }

func TestBroadcastDoesNotAllocate(t *testing.T) {
	sw := NewMultiplexSwitch(nil)
	for i := range 40 {
		c := &connection{id: testID(i), peer: &taker{}}
		c.channels[chA] = true
		require.NoError(t, sw.peers.addConnection(c))
	}
	msg := []byte("x")
	require.Zero(t, testing.AllocsPerRun(100, func() { sw.Broadcast(chA, msg) }))
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	r := newTestReactor()
	sw := NewMultiplexSwitch(nil)
	g := &gate{Reactor: &r.BaseReactor, sw: sw}
	c := &connection{id: testID(1), conn: &taker{}, peer: &taker{}, refs: 1}
	sw.track(c, c.conn)
	msg := []byte("x")
	require.Zero(t, testing.AllocsPerRun(100, func() { g.Receive(chA, c.conn, msg) }))
}

// refusing takes nothing by Send, at once, as a peer that is on its way out does.
// What TrySend takes after the first refusal is noted.
type refusing struct {
	compat.PeerConn
	refused bool
	took    []string
}

func (p *refusing) TrySend(_ byte, msg []byte) bool {
	if !p.refused {
		return false
	}
	p.took = append(p.took, string(msg))

	return true
}

func (p *refusing) Send(byte, []byte) bool {
	p.refused = true

	return false
}

func (p *refusing) IsRunning() bool { return !p.refused && p.PeerConn.IsRunning() }

// A peer that is being stopped is left the time to end by itself: it may still be
// flushing. Nothing follows the message that it did not take.
func TestBroadcastToAPeerThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub, other := newNode(t, network), newNode(t, network)
		peer := &refusing{}
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn {
			peer.PeerConn = p

			return peer
		}
		defer start(t, hub, other)()
		connect(t, other, hub)

		hub.Broadcast(chA, []byte("1"))
		synctest.Wait()
		hub.Broadcast(chA, []byte("2"))
		synctest.Wait()
		require.True(t, hub.Peers().Has(other.id()))
		require.Empty(t, peer.took)

		pass(compat.SendTimeout)
		require.False(t, hub.Peers().Has(other.id()))
	})
}

// picky is a peer that refuses one message at once, as it does what exceeds a limit.
type picky struct{ compat.PeerConn }

func (p picky) Send(chID byte, msg []byte) bool {
	return string(msg) != "too large" && p.PeerConn.Send(chID, msg)
}

func (p picky) TrySend(chID byte, msg []byte) bool {
	return string(msg) != "too large" && p.PeerConn.TrySend(chID, msg)
}

// What can never be sent is lost alone: neither the peer nor later messages are.
func TestBroadcastThatCannotBeSent(t *testing.T) {
	const chOfB = byte(0x60)
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNodeOn(t, network.NewTransport(chA, chB, chOfB), nil)
		b := newNodeOn(t, network.NewTransport(chA, chB, chOfB), nil)
		WithReactor("of B", newTestReactor(chOfB))(b.MultiplexSwitch)
		a.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { return picky{p} }
		defer start(t, a, b)()
		connect(t, a, b)
		for _, msg := range []string{"1", "too large", "2", "too large", "3"} {
			a.Broadcast(chA, []byte(msg))
			a.Broadcast(chOfB, []byte(msg))
		}
		pass(2 * compat.SendTimeout)
		require.True(t, a.Peers().Has(b.id()))
		require.Equal(t, []string{"init", "add", "receive 1", "receive 2", "receive 3"}, b.reactor.entries())
		require.EqualValues(t, 2, a.BroadcastsDropped())
	})
}
