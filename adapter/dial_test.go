package adapter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
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

func (d *dialCounter) wrap(tr *compattest.Transport) compat.Transport {
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

func (d *dialCounter) maxActive() int {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return d.most
}

// deadAddresses returns addresses that never answer.
func deadAddresses(network *compattest.Network, d *dialCounter, n int) (addrs []*types.NetAddress) {
	for range n {
		addr := network.NewNodeInfo().NetAddress
		d.dead[addr.ID] = true
		addrs = append(addrs, addr)
	}

	return addrs
}

func TestDialPeersBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
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
		network := compattest.NewNetwork()
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

// A reactor that hears of a removal may dial the peer at once. The remote may not
// have noticed yet and refuse, but the address is not skipped.
func TestDialPeersDuringRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
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
		network := compattest.NewNetwork()
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
		require.ErrorIs(t, got[0].(events.DialFailedEvent).Reason, compattest.ErrRefused)

		pass(dialTimeout)
		got = collect(evs)
		require.Len(t, got, 1)
		require.Equal(t, *hanging, got[0].(events.DialFailedEvent).Address)
		require.ErrorIs(t, got[0].(events.DialFailedEvent).Reason, context.DeadlineExceeded)
	})
}

func TestTransportThatReturnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		a := newNodeOn(t, network.NewTransport(chA), func(tr *compattest.Transport) compat.Transport {
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

func TestHintsAreDialedConcurrentlyAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		a := newNodeOn(t, network.NewTransport(chA), counter.wrap)
		addrs := deadAddresses(network, counter, 4*maxDials)
		defer start(t, a)()
		begin := time.Now()
		a.DialPeers(addrs...)
		pass(5 * dialTimeout)
		require.Equal(t, maxDials, counter.maxActive())
		for i, addr := range addrs {
			dials := counter.dials(addr.ID)
			require.Len(t, dials, 1)
			round := time.Duration(i / maxDials)
			require.Equal(t, round*dialTimeout, dials[0].Sub(begin), "address %d", i)
		}
	})
}

func TestDialQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		a := newNode(t, network)
		counter := newDialCounter()
		a.DialPeers(deadAddresses(network, counter, maxQueuedDials+100)...)
		require.Equal(t, maxQueuedDials, a.dials.hints.len())
		require.NoError(t, a.tr.Close())
	})
}

func TestDeadAddressesDelayNoLivePeer(t *testing.T) {
	const dead = 1000
	t.Run("dead hints, persistent peer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := compattest.NewNetwork()
			counter := newDialCounter()
			live := newNode(t, network)
			a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers([]*types.NetAddress{live.addr()}))
			a.DialPeers(deadAddresses(network, counter, dead)...)
			defer start(t, live, a)()
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()), "no time has passed")
			live.StopPeerForError(live.Peers().Get(a.id()), nil)
			pass(2 * firstRedial)
			require.True(t, a.Peers().Has(live.id()))
		})
	})
	t.Run("dead persistent peers, live ones of both kinds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := compattest.NewNetwork()
			counter := newDialCounter()
			live, hint := newNode(t, network), newNode(t, network)
			addrs := append(deadAddresses(network, counter, dead), live.addr())
			a := newNodeOn(t, network.NewTransport(chA, chB), counter.wrap, WithPersistentPeers(addrs))
			defer start(t, live, hint, a)()
			a.DialPeers(hint.addr())
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()))
			require.True(t, a.Peers().Has(hint.id()))
		})
	})
	t.Run("hints that do not resolve", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			network := compattest.NewNetwork()
			live := newNode(t, network)
			a := newNode(t, network)
			defer start(t, live, a)()
			for range dead - 1 {
				a.DialPeers(network.NewNodeInfo().NetAddress)
			}
			a.DialPeers(live.addr())
			synctest.Wait()
			require.True(t, a.Peers().Has(live.id()))
		})
	})
}

func TestStopWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		counter := newDialCounter()
		addrs := deadAddresses(network, counter, 100)
		a := newNodeOn(t, network.NewTransport(chA), counter.wrap, WithPersistentPeers(addrs[:5]))
		stop := start(t, a)
		a.DialPeers(addrs[5:]...)
		synctest.Wait()
		begin := time.Now()
		stop()
		require.Zero(t, time.Since(begin))
		pass(time.Minute)
		for _, addr := range addrs {
			require.LessOrEqual(t, len(counter.dials(addr.ID)), 1, "no dial after Stop")
		}
	})
}

func TestStopWithADialThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := compattest.NewNetwork()
		b := newNode(t, network)
		release := make(chan struct{})
		var late atomic.Pointer[compat.PeerConn]
		a := newNodeOn(t, network.NewTransport(chA, chB), func(tr *compattest.Transport) compat.Transport {
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

func TestDialQueueOrder(t *testing.T) {
	network := compattest.NewNetwork()
	q := newDialQueue()
	now := time.Now()
	due := []time.Duration{5, 1, 3, 1, 0}
	var addrs []types.NetAddress
	for _, d := range due {
		addr := *network.NewNodeInfo().NetAddress
		addrs = append(addrs, addr)
		q.push(addr, now.Add(d*time.Second))
	}
	require.True(t, q.has(addrs[2].ID))
	q.remove(addrs[2].ID)
	q.remove(addrs[2].ID)
	require.False(t, q.has(addrs[2].ID))
	next, ok := q.next()
	require.True(t, ok)
	require.Equal(t, now, next)

	var got []types.ID
	for addr, ok := q.popDue(now.Add(time.Second)); ok; addr, ok = q.popDue(now.Add(time.Second)) {
		got = append(got, addr.ID)
	}
	require.Equal(t, []types.ID{addrs[4].ID, addrs[1].ID, addrs[3].ID}, got, "by time, then in order")
	require.Equal(t, 1, q.len())
	_, ok = q.popDue(now.Add(5*time.Second - 1))
	require.False(t, ok)
	_, ok = q.popDue(now.Add(5 * time.Second))
	require.True(t, ok)
	_, ok = q.next()
	require.False(t, ok)
}
