package dropin

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// stopTimeout is how long the switch of package adapter waits for peers.
const stopTimeout = 10 * time.Second

// stopFromWithin is how long a Stop from within a callback takes: it waits for its own
// callback until both timeouts have passed, that of the peers and that of the transport.
const stopFromWithin = stopTimeout + closeTimeout

// callback names the callback in which a reactor calls Stop.
type callback string

const (
	inInitPeer   callback = "InitPeer"
	inAddPeer    callback = "AddPeer"
	inReceive    callback = "Receive"
	inRemovePeer callback = "RemovePeer"
)

// stopper is a reactor that runs a function in the first call of one of its callbacks.
type stopper struct {
	*gnoRecorder
	at     callback
	stop   func()
	done   atomic.Bool
	inits  atomic.Int32
	ended  chan struct{} // closed after stop
	onStop func()
}

func newStopper(at callback) *stopper {
	s := &stopper{gnoRecorder: newGnoRecorder("stopper", testChannel), at: at, ended: make(chan struct{}), onStop: func() {}}
	s.BaseReactor = *p2p.NewBaseReactor("stopper", s)

	return s
}

func (s *stopper) in(at callback) {
	if at == s.at && s.done.CompareAndSwap(false, true) {
		s.stop()
		close(s.ended)
	}
}

func (s *stopper) OnStop() {
	s.gnoRecorder.OnStop()
	s.onStop()
}

func (s *stopper) InitPeer(peer p2p.PeerConn) p2p.PeerConn {
	s.inits.Add(1)
	s.in(inInitPeer)

	return peer
}

func (s *stopper) AddPeer(peer p2p.PeerConn) {
	s.gnoRecorder.AddPeer(peer)
	s.in(inAddPeer)
}

func (s *stopper) Receive(ch byte, peer p2p.PeerConn, msg []byte) {
	s.gnoRecorder.Receive(ch, peer, msg)
	s.in(inReceive)
}

func (s *stopper) RemovePeer(peer p2p.PeerConn, reason any) {
	s.gnoRecorder.RemovePeer(peer, reason)
	s.in(inRemovePeer)
}

// inMemory adds Listen to an in-memory transport, so that a switch can own it.
type inMemory struct {
	*memory.Transport
	closed atomic.Bool // Close has returned
}

func (*inMemory) Listen(types.NetAddress) error { return nil }

func (m *inMemory) Close() error {
	err := m.Transport.Close()
	m.closed.Store(true)

	return err
}

// newMemorySwitch returns a switch that owns its transport.
func newMemorySwitch(t *testing.T, network *memory.Network, cfg *gnoconfig.P2PConfig, r p2p.Reactor) (*Switch, *inMemory) {
	t.Helper()
	p, err := newPlan(cfg, map[string]p2p.Reactor{"R": r}, nil)
	require.NoError(t, err)
	tr := &inMemory{Transport: network.NewTransport(testChannel)}

	return newSwitch("memory", tr, tr, p, nil), tr
}

// TestStopFromWithin checks that a Stop from within a callback returns in time, and that
// nothing runs once the callback has returned.
func TestStopFromWithin(t *testing.T) {
	for _, at := range []callback{inInitPeer, inAddPeer, inReceive, inRemovePeer} {
		for _, by := range []string{"Stop", "Close"} {
			t.Run(string(at)+"/"+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testStopFromWithin(t, at, by) })
			})
		}
	}
}

func testStopFromWithin(t *testing.T, at callback, by string) {
	network := memory.NewNetwork()
	other := newGnoRecorder("other", testChannel)
	swOther, _ := newMemorySwitch(t, network, loopbackConfig(), other)
	require.NoError(t, swOther.Start())
	r := newStopper(at)
	sw, tr := newMemorySwitch(t, network, loopbackConfig(), r)
	var took time.Duration
	var stopErr error
	r.stop = func() {
		begun := time.Now()
		if by == "Stop" {
			stopErr = sw.Stop()
		} else {
			stopErr = sw.Close()
		}
		took = time.Since(begun)
	}
	require.NoError(t, sw.Start())

	addr := sw.NetAddress()
	require.NotEmpty(t, addr.ID)
	swOther.DialPeers(&addr)
	switch at {
	case inReceive:
		require.True(t, (<-other.added).Send(testChannel, []byte("stop")))
	case inRemovePeer:
		swOther.StopPeerForError(<-other.added, errors.New("enough"))
	}
	<-sw.Quit()
	require.False(t, sw.IsRunning())
	require.False(t, r.IsRunning(), "the reactors are stopped")
	require.ErrorIs(t, sw.Stop(), gnoservice.ErrAlreadyStopped)
	<-r.ended
	synctest.Wait()
	require.NoError(t, stopErr)
	require.LessOrEqual(t, took, stopFromWithin)
	require.Empty(t, sw.Peers().List())
	require.True(t, tr.closed.Load(), "the transport is closed once the callback has returned")
	require.Len(t, r.removed, int(r.inits.Load()), "a peer that was initialised is removed, once")
	require.Equal(t, []string{"start stopper", "stop stopper"}, r.log.list)
	require.NoError(t, sw.Close())
	require.NoError(t, swOther.Close())
}

// TestStopFromWithinOverSockets is TestStopFromWithin over sockets. All cases run at the
// same time, since each takes the full timeout.
func TestStopFromWithinOverSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the timeouts of Stop, 20 s")
	}
	ends := make(map[string]func(*testing.T))
	for _, s := range stacks() {
		for _, at := range []callback{inAddPeer, inReceive, inRemovePeer} {
			ends[s.name+"/"+string(at)] = beginStopFromWithin(t, s, at)
		}
	}
	for name, end := range ends {
		t.Run(name, end)
	}
}

// beginStopFromWithin makes a callback stop its node. The returned function checks the
// result.
func beginStopFromWithin(t *testing.T, s stack, at callback) func(*testing.T) {
	t.Helper()
	r := newStopper(at)
	sw := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": r})
	var stopErr error
	r.stop = func() { stopErr = sw.Stop() }
	gone, unsubscribe := sw.Subscribe(func(e gnoevents.Event) bool { return e.Type() == gnoevents.PeerDisconnected })
	t.Cleanup(unsubscribe)
	require.NoError(t, sw.Start())
	other := newGnoRecorder("other", testChannel)
	swOther := newSwitchWith(t, s, loopbackConfig(sw.NetAddress()), map[string]p2p.Reactor{"R": other})
	require.NoError(t, swOther.Start())
	var peer p2p.PeerConn // none where AddPeer stops the node: the other end may not get so far
	if at != inAddPeer {
		peer = await(t, other.added)
	}
	switch at {
	case inReceive:
		require.True(t, peer.Send(testChannel, []byte("stop")))
	case inRemovePeer:
		require.NoError(t, peer.CloseConn())
	}

	return func(t *testing.T) {
		awaitWithin(t, stopFromWithin+patience, r.ended)
		require.NoError(t, stopErr)
		require.False(t, sw.IsRunning())
		require.False(t, r.IsRunning())
		if peer != nil {
			require.Same(t, peer, await(t, other.removed), "the other end has noticed")
		}
		await(t, r.removed)
		await(t, gone) // sent after the peer has left the set
		require.Empty(t, sw.Peers().List())
		require.ErrorIs(t, sw.Stop(), gnoservice.ErrAlreadyStopped)
	}
}

// starter is a reactor whose OnStart blocks until it is released.
type starter struct {
	*gnoRecorder
	begun, letGo chan struct{}
	within       func() // called by OnStart
}

func newStarter(channel byte) *starter {
	s := &starter{
		gnoRecorder: newGnoRecorder("starter", channel), within: func() {},
		begun: make(chan struct{}), letGo: make(chan struct{}),
	}
	s.BaseReactor = *p2p.NewBaseReactor("starter", s)

	return s
}

func (s *starter) OnStart() error {
	close(s.begun)
	s.within()
	<-s.letGo

	return nil
}

var endings = map[string]func(*Switch) error{"Stop": (*Switch).Stop, "Close": (*Switch).Close}

// TestStopWhileStarting stops a node during Start, which takes long while consensus replays
// its log. No reactor may be left running.
func TestStopWhileStarting(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		for name, end := range endings {
			t.Run(name, func(t *testing.T) {
				slow, later := newStarter(0x30), newGnoRecorder("later", 0x31)
				sw := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"A": slow, "B": later})
				started := make(chan error, 1)
				go func() { started <- sw.Start() }()
				await(t, slow.begun)
				ended := make(chan error, 1)
				go func() { ended <- end(sw) }()
				require.NoError(t, await(t, ended), "it does not wait for the start")
				close(slow.letGo)
				require.ErrorIs(t, await(t, started), gnoservice.ErrAlreadyStopped)
				require.False(t, sw.IsRunning())
				require.False(t, slow.IsRunning())
				require.False(t, later.IsRunning(), "nobody would stop it")
				require.ErrorIs(t, sw.Start(), gnoservice.ErrAlreadyStopped)
			})
		}
	})
}

// TestEndFromOnStartAndOnStop ends a node from the OnStart and the OnStop of a reactor.
func TestEndFromOnStartAndOnStop(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		for name, end := range endings {
			t.Run(name, func(t *testing.T) {
				failing := newStarter(0x30)
				close(failing.letGo)
				sw := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": failing})
				var fromStart error
				failing.within = func() { fromStart = end(sw) }
				started := make(chan error, 1)
				go func() { started <- sw.Start() }()
				require.ErrorIs(t, await(t, started), gnoservice.ErrAlreadyStopped)
				require.NoError(t, fromStart)
				require.False(t, failing.IsRunning())

				r := newStopper("")
				sw = newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": r})
				var fromStop error
				r.onStop = func() { fromStop = sw.Close() }
				require.NoError(t, sw.Start())
				stopped := make(chan error, 1)
				go func() { stopped <- end(sw) }()
				require.NoError(t, await(t, stopped))
				require.NoError(t, fromStop)
			})
		}
	})
}

// stuck is a transport whose Close blocks until it is released.
type stuck struct {
	compat.ListeningTransport
	letGo chan struct{}
}

func (s stuck) Close() error {
	<-s.letGo

	return nil
}

// TestStopIsBounded checks that Stop ends although Close of the transport blocks, as it does
// when Stop is called from Receive.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := stuck{letGo: make(chan struct{})}
		sw := &Switch{transport: tr, own: tr}
		begin := time.Now()
		require.ErrorIs(t, sw.closeTransport(), errCloseTimeout)
		require.Equal(t, closeTimeout, time.Since(begin))
		close(tr.letGo)
		require.NoError(t, sw.closeTransport())
	})
}
