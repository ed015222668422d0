package adapter

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

func TestStartStop(t *testing.T) {
	t.Run("built only", func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network)
		require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
		n.OnStop()
		require.NoError(t, n.tr.Close())
	})
	t.Run("peers before reactors", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b, stop := pair(t)
			defer stop()
			var reason any
			a.reactor.onRemove = func(_ compat.PeerConn, r any) {
				require.True(t, a.reactor.IsRunning())
				reason = r
			}
			require.NoError(t, a.Stop())
			require.False(t, a.reactor.IsRunning())
			require.Equal(t, []string{"init", "add", "remove"}, a.reactor.entries())
			require.IsType(t, errStopping, reason)
			requireCode(t, compat.RejectClosing, reason.(error))
			synctest.Wait()
			require.Empty(t, b.Peers().List())
			require.ErrorIs(t, a.Stop(), service.ErrAlreadyStopped)
			a.DialPeers(b.addr())
			a.Broadcast(chA, []byte("x"))
		})
	})
	t.Run("repeatedly", func(t *testing.T) {
		for range 50 {
			network := memory.NewNetwork()
			n := newNode(t, network)
			start(t, n)()
		}
	})
}

func TestReactorsStopInReverse(t *testing.T) {
	var order []string
	network := memory.NewNetwork()
	tr := network.NewTransport(chA)
	defer func() { require.NoError(t, tr.Close()) }()
	var opts []SwitchOption
	for _, name := range []string{"first", "second", "third"} {
		r := &orderedReactor{testReactor: newTestReactor(), stopped: func() { order = append(order, name) }}
		r.BaseReactor = *compat.NewBaseReactor(name, r)
		opts = append(opts, WithReactor(name, r))
	}
	sw := NewMultiplexSwitch(tr, opts...)
	require.NoError(t, sw.Start())
	require.NoError(t, sw.Stop())
	require.Equal(t, []string{"third", "second", "first"}, order)
}

type orderedReactor struct {
	*testReactor
	stopped func()
}

func (r *orderedReactor) OnStop() { r.stopped() }

// failingReactor does not start.
type failingReactor struct{ *testReactor }

func (f *failingReactor) Start() error { return errTest }

func TestReactorThatDoesNotStart(t *testing.T) {
	network := memory.NewNetwork()
	n := newNode(t, network, WithReactor("bad", &failingReactor{newTestReactor(0x30)}))
	defer n.tr.Close()
	require.ErrorIs(t, n.Start(), errTest)
	require.False(t, n.IsRunning())
	require.False(t, n.reactor.IsRunning(), "reactors started before are stopped")
}

func TestStopWithinReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := pair(t)
		var took atomic.Int64
		b.reactor.onReceive = func(byte, compat.PeerConn, []byte) {
			begin := time.Now()
			if err := b.Stop(); err != nil {
				panic(fmt.Sprint("stop: ", err))
			}
			took.Store(int64(time.Since(begin)))
		}
		require.True(t, a.Peers().Get(b.id()).Send(chA, []byte("x")))
		pass(stopTimeout)
		require.Equal(t, []string{"init", "add", "receive x", "remove"}, b.reactor.entries())
		require.EqualValues(t, stopTimeout, took.Load())
		stop()
	})
}

func TestSubscribersSeeNothingAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a, b := newNode(t, network), newNode(t, network)
		defer start(t, a, b)()
		evs, cancel := a.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
		connect(t, a, b)
		require.Empty(t, collect(evs))
		cancel()
		_, open := <-evs
		require.False(t, open)
	})
}

// slowStop takes its time to stop.
type slowStop struct{ compat.PeerConn }

func (s *slowStop) Stop() error {
	task.Sleep(context.Background(), 3*time.Second)

	return s.PeerConn.Stop()
}

func TestPeersAreStoppedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network)
		hub.reactor.onInit = func(p compat.PeerConn) compat.PeerConn { return &slowStop{p} }
		nodes := []*node{hub}
		for range 5 {
			nodes = append(nodes, newNode(t, network))
		}
		stop := start(t, nodes...)
		for _, n := range nodes[1:] {
			connect(t, n, hub)
		}
		begin := time.Now()
		require.NoError(t, hub.Stop())
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.Equal(t, 5, hub.reactor.count("remove"))
		stop()
	})
}

// A Stop that comes while a reactor is being started leaves none running.
func TestStopWhileReactorsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		a := newNode(t, network)
		entered, leave := make(chan struct{}), make(chan struct{})
		slow := &slowReactor{testReactor: newTestReactor(0x31), entered: entered, leave: leave}
		slow.BaseReactor = *compat.NewBaseReactor("slow", slow)
		last := newTestReactor(0x32)
		WithReactor("slow", slow)(a.MultiplexSwitch)
		WithReactor("last", last)(a.MultiplexSwitch)

		started := make(chan error, 1)
		go func() { started <- a.Start() }()
		<-entered
		require.NoError(t, a.Stop())
		close(leave)
		require.ErrorIs(t, <-started, service.ErrAlreadyStopped)
		require.False(t, a.reactor.IsRunning())
		require.False(t, slow.IsRunning())
		require.False(t, last.IsRunning())
		require.NoError(t, a.tr.Close())
	})
}

type slowReactor struct {
	*testReactor
	entered, leave chan struct{}
}

func (r *slowReactor) OnStart() error {
	close(r.entered)
	<-r.leave

	return nil
}
