package adapter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialCounter watches the dials of a transport. Addresses in dead never answer.
type dialCounter struct {
	mtx    sync.Mutex
	dead   map[types.ID]bool
	times  map[types.ID][]time.Time
	active int
	most   int
}

func newDialCounter() *dialCounter {
	return &dialCounter{dead: make(map[types.ID]bool), times: make(map[types.ID][]time.Time)}
}

func (d *dialCounter) wrap(tr *memory.Transport) compat.Transport {
	return &dialHook{Transport: tr, dial: func(ctx context.Context, a types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
		dead := d.begin(a.ID)
		defer d.end()
		if dead {
			<-ctx.Done()

			return nil, ctx.Err()
		}

		return tr.Dial(ctx, a, b)
	}}
}

func (d *dialCounter) begin(id types.ID) (dead bool) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.active++
	d.most = max(d.most, d.active)
	d.times[id] = append(d.times[id], time.Now())

	return d.dead[id]
}

func (d *dialCounter) end() {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.active--
}

func (d *dialCounter) dials(id types.ID) []time.Time {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return append([]time.Time(nil), d.times[id]...)
}

func (d *dialCounter) nowActive() int {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.active
}

func (d *dialCounter) maxActive() int {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.most
}

// deadAddresses returns addresses that never answer.
func deadAddresses(network *memory.Network, d *dialCounter, n int) (addrs []*types.NetAddress) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	for range n {
		addr := network.NewNodeInfo().NetAddress
		d.dead[addr.ID] = true
		addrs = append(addrs, addr)
	}

	return addrs
}

func TestDialPeersBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		a.DialPeers(b.addr())
		synctest.Wait()
		require.Empty(t, a.Peers().List())
		defer start(t, b, a)()
		synctest.Wait()
		require.True(t, a.Peers().Has(b.id()))
	})
}

func TestDialPeersSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		friend := deadAddresses(network, counter, 1)[0]
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{friend}))
		b := newNode(t, network)
		gone := deadAddresses(network, counter, 1)[0]
		defer start(t, a, b)()
		noID := *b.addr()
		noID.ID = ""
		a.DialPeers(nil, &noID, a.addr(), friend, gone, gone, b.addr(), b.addr())
		a.DialPeers(gone, b.addr())
		synctest.Wait()
		a.DialPeers(gone, b.addr())
		synctest.Wait()
		require.Len(t, counter.dials(b.id()), 1, "connected, queued or dialing")
		require.Len(t, counter.dials(gone.ID), 1)
		require.Len(t, counter.dials(friend.ID), 1, "dialed as a persistent peer only")
		require.Empty(t, counter.dials(""))
		require.Empty(t, counter.dials(a.id()))
	})
}

// A hint that comes just when its peer has become persistent is not dialed beside the redial.
func TestHintOfAPersistentPeerIsNotQueued(t *testing.T) {
	d := newDialer()
	addr := types.NetAddress{ID: testID(1), IP: net.IPv4(9, 8, 7, 6), Port: 1}
	d.redial(addr, 0)
	require.True(t, d.hint(&dial{addr: addr}))
	require.Zero(t, d.hints.len())
}

// A reactor that hears of a removal may dial the peer at once. The remote may not
// have noticed yet and refuse, but the address is not skipped.
func TestDialPeersDuringRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap)
		b := newNode(t, network)
		defer start(t, a, b)()
		connect(t, a, b)
		a.reactor.onRemove = func(compat.PeerConn, any) { a.DialPeers(b.addr()) }
		a.StopPeerForError(a.Peers().Get(b.id()), errors.New("enough"))
		synctest.Wait()
		require.Len(t, counter.dials(b.id()), 2)
	})
}

func TestDialFailedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA), counter.wrap)
		hanging := deadAddresses(network, counter, 1)[0]
		refusing := network.NewNodeInfo().NetAddress
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a)()
		a.DialPeers(refusing, hanging)
		synctest.Wait()
		got := collect(evs)
		require.Len(t, got, 1)
		require.Equal(t, *refusing, got[0].(events.DialFailedEvent).Address)
		require.ErrorIs(t, got[0].(events.DialFailedEvent).Reason, memory.ErrRefused)

		pass(DefaultDialTimeout)
		got = collect(evs)
		require.Len(t, got, 1)
		require.Equal(t, *hanging, got[0].(events.DialFailedEvent).Address)
		require.ErrorIs(t, got[0].(events.DialFailedEvent).Reason, context.DeadlineExceeded)
	})
}

// What a transport wraps is there for errors.As and errors.Is to find, and each
// dial that fails has one event.
func TestDialFailedReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		reasons := []error{
			compat.Reject(compat.RejectFull, "come back later"),
			&net.OpError{Op: "dial", Err: errTest},
			&net.DNSError{Err: "no such host", Name: "node.example", IsNotFound: true},
			errTest,
		}
		var addrs []*types.NetAddress
		byID := make(map[types.ID]error)
		for _, reason := range reasons {
			addr := network.NewNodeInfo().NetAddress
			addrs = append(addrs, addr)
			byID[addr.ID] = reason
		}
		late := network.NewNodeInfo().NetAddress
		a := newNodeOn(t, network.NewTransport(chA), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(ctx context.Context, a types.NetAddress, _ compat.PeerBehavior) (compat.PeerConn, error) {
				if a.ID == late.ID { // as a connection that the context closes under a handshake
					<-ctx.Done()

					return nil, &net.OpError{Op: "read", Err: net.ErrClosed}
				}

				return nil, fmt.Errorf("dial %s: %w", &a, byID[a.ID])
			}}
		}, WithDialTimeout(7*time.Second))
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a)()
		a.DialPeers(addrs...)
		a.DialPeers(late)
		pass(7*time.Second - 1)
		got := collect(evs)
		require.Len(t, got, len(addrs))
		for _, e := range got {
			failed := e.(events.DialFailedEvent)
			require.ErrorIs(t, failed.Reason, byID[failed.Address.ID])
			delete(byID, failed.Address.ID)
		}
		pass(1)
		got = collect(evs)
		require.Len(t, got, 1)
		reason := got[0].(events.DialFailedEvent).Reason
		require.ErrorIs(t, reason, context.DeadlineExceeded)
		require.ErrorIs(t, reason, net.ErrClosed)
		var op *net.OpError
		require.ErrorAs(t, reason, &op)
		require.ErrorContains(t, reason, "7s")
		pass(time.Minute)
		require.Empty(t, collect(evs))
	})
}

// Each place where the limit counts, alone: at the queue and at the admission.
func TestUnconditionalPeersNeedNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		guest, stranger := newNode(t, network), newNode(t, network)
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithMaxOutboundPeers(0),
			WithUnconditionalPeers([]types.ID{guest.id()}))
		defer start(t, guest, stranger, a)()
		a.DialPeers(stranger.addr(), guest.addr())
		synctest.Wait()
		require.True(t, a.Peers().Has(guest.id()))
		require.Len(t, a.Peers().List(), 1)
		require.Empty(t, counter.dials(stranger.id()))

		a.StopPeerForError(a.Peers().Get(guest.id()), errTest)
		pass(time.Hour)
		require.Len(t, counter.dials(guest.id()), 1, "it is not dialed by itself")
	})
}

// Whoever hears that a dial has failed, or that the peer is gone, may dial again,
// at once and on the goroutine that tells.
func TestDialAgainFromAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap)
		b := newNode(t, network)
		closed := network.NewNodeInfo().NetAddress
		a.reactor.onAdd = func(p compat.PeerConn) {
			if a.reactor.count("add") == 1 {
				a.StopPeerForError(p, errTest)
			}
		}
		var failed, gone atomic.Int64
		_, cancel := a.Subscribe(func(e events.Event) bool {
			switch e.(type) {
			case events.DialFailedEvent:
				if failed.Add(1) < 3 {
					a.DialPeers(closed)
				}
			case events.PeerDisconnectedEvent:
				if gone.Add(1) == 1 {
					a.DialPeers(b.addr())
				}
			}

			return false
		})
		defer cancel()
		defer start(t, a, b)()
		a.DialPeers(closed)
		synctest.Wait()
		require.Len(t, counter.dials(closed.ID), 3)
		require.EqualValues(t, 3, failed.Load())

		a.DialPeers(b.addr())
		synctest.Wait()
		require.Len(t, counter.dials(b.id()), 2, "though b may not have noticed yet, and refuse")
	})
}

func TestTransportThatReturnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNodeOn(t, network.NewTransport(chA), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(context.Context, types.NetAddress, compat.PeerBehavior) (compat.PeerConn, error) {
				return nil, nil
			}}
		})
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		defer start(t, a)()
		a.DialPeers(network.NewNodeInfo().NetAddress)
		synctest.Wait()
		got := collect(evs)
		require.Len(t, got, 1)
		require.ErrorIs(t, got[0].(events.DialFailedEvent).Reason, errNoPeer)
	})
}

func TestStopWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		counter := newDialCounter()
		addrs := deadAddresses(network, counter, 100)
		a := newNodeOn(t, network.NewTransport(chA), counter.wrap, WithPersistentPeers(addrs[:5]))
		evs, cancel := a.Subscribe(nil)
		defer cancel()
		stop := start(t, a)
		a.DialPeers(addrs[5:]...)
		synctest.Wait()
		begin := time.Now()
		stop()
		require.Zero(t, time.Since(begin))
		require.Zero(t, counter.nowActive())
		require.Empty(t, collect(evs), "a dial that Stop ends has not failed")
		pass(time.Minute)
		for _, addr := range addrs {
			require.LessOrEqual(t, len(counter.dials(addr.ID)), 1, "no dial after Stop")
		}
	})
}

func TestStopWithADialThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		b := newNode(t, network)
		release := make(chan struct{})
		var late atomic.Pointer[compat.PeerConn]
		a := newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(_ context.Context, addr types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
				conn, err := tr.Dial(context.Background(), addr, b)
				<-release
				late.Store(&conn)

				return conn, err
			}}
		})
		stop := start(t, a, b)
		a.DialPeers(b.addr())
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, a.Stop())
		require.Equal(t, stopTimeout, time.Since(begin))
		close(release)
		synctest.Wait()
		require.NotNil(t, late.Load())
		require.Zero(t, a.tr.NumPeers(), "a connection that comes after Stop is closed")
		require.Empty(t, b.Peers().List())
		require.Zero(t, a.reactor.count("init"))
		stop()
	})
}
