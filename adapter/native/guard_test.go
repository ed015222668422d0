package native_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// guardTimeout only ends a test that has already failed.
const guardTimeout = 20 * time.Second

// refusedEarly is logged for each connection that the switch refuses before its handshake.
const refusedEarly = "inbound connection refused before its handshake"

// levels notes at which level each message was logged, but no lines that sum up others.
type levels struct {
	slog.Handler // WithAttrs and WithGroup are not looked at

	mtx sync.Mutex
	of  map[string][]slog.Level
}

func newLevels() *levels {
	return &levels{Handler: slog.DiscardHandler, of: make(map[string][]slog.Level)}
}

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }

func (l *levels) Handle(_ context.Context, r slog.Record) error {
	sums := false
	r.Attrs(func(a slog.Attr) bool {
		sums = a.Key == "more_times"

		return !sums
	})
	if sums {
		return nil
	}
	l.mtx.Lock()
	defer l.mtx.Unlock()
	l.of[r.Message] = append(l.of[r.Message], r.Level)

	return nil
}

func (l *levels) get(message string) []slog.Level {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.of[message]
}

// talker is a reactor with one channel.
type talker struct{ compat.BaseReactor }

func newTalker() *talker {
	r := &talker{}
	r.BaseReactor = *compat.NewBaseReactor("talker", r)

	return r
}

func (*talker) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1, RecvMessageCapacity: 1 << 10}}
}

// guardedNode is a switch on TCP.
type guardedNode struct {
	*adapter.MultiplexSwitch
	t      *testing.T
	tr     *native.MultiplexTransport
	addr   types.NetAddress
	levels *levels
	events <-chan events.Event
}

func newGuardedNode(t *testing.T, opts ...adapter.SwitchOption) *guardedNode {
	t.Helper()
	key := types.GenerateNodeKey()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "net", Version: "v1.0.0", Channels: []byte{0x20}, Moniker: "test",
	}
	n := &guardedNode{t: t, levels: newLevels()}
	n.tr = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), slog.New(n.levels),
		native.WithHandshakeTimeout(guardTimeout))
	t.Cleanup(func() { require.NoError(t, n.tr.Close()) })
	require.NoError(t, n.tr.Listen(*info.NetAddress))
	n.addr = n.tr.NetAddress()
	n.start(opts...)

	return n
}

// start runs a switch on the transport until the test ends.
func (n *guardedNode) start(opts ...adapter.SwitchOption) {
	n.t.Helper()
	// The switch suspects no connection, since it would let a second one of the same peer begin.
	n.MultiplexSwitch = adapter.NewMultiplexSwitch(n.tr, append(opts,
		switchtest.Unsuspecting(), adapter.WithReactor("talker", newTalker()))...)
	evs, cancel := n.Subscribe(func(e events.Event) bool { return e.Type() != events.DialFailed })
	n.events = evs
	n.t.Cleanup(cancel)
	sw := n.MultiplexSwitch
	require.NoError(n.t, sw.Start())
	n.t.Cleanup(func() {
		if sw.IsRunning() {
			require.NoError(n.t, sw.Stop())
		}
	})
}

// next waits for the next event.
func (n *guardedNode) next() events.Event {
	n.t.Helper()
	select {
	case e := <-n.events:
		return e
	case <-time.After(guardTimeout):
		n.t.Fatal("no event came")
		panic("unreachable")
	}
}

// awaitLoss waits until a node that had one peer has noticed that it is gone.
func (n *guardedNode) awaitLoss() {
	n.t.Helper()
	require.Equal(n.t, events.PeerConnected, n.next().Type())
	require.Equal(n.t, events.PeerDisconnected, n.next().Type())
}

// dial connects the node to the other, which says so.
func (n *guardedNode) dial(to *guardedNode) {
	n.t.Helper()
	n.DialPeers(&to.addr)
	e := to.next()
	require.Equal(n.t, events.PeerConnected, e.Type(), "%v", e)
	require.Equal(n.t, n.addr.ID, e.(events.PeerConnectedEvent).PeerID)
}

// connect opens a connection and reports whether the node begins the handshake,
// which it does without waiting, or closes the connection without a byte.
func (n *guardedNode) connect() bool {
	n.t.Helper()
	conn, err := net.Dial("tcp", n.addr.DialString())
	require.NoError(n.t, err)
	defer conn.Close()
	require.NoError(n.t, conn.SetReadDeadline(time.Now().Add(guardTimeout)))
	_, err = conn.Read(make([]byte, 1))
	if err == nil {
		return true
	}
	if !errors.Is(err, io.EOF) {
		require.ErrorIs(n.t, err, syscall.ECONNRESET)
	}

	return false
}

// awaitAccept waits until Accept has replaced a switch that has stopped, which goes on refusing
// connections until then.
func (n *guardedNode) awaitAccept() {
	n.t.Helper()
	for !n.connect() {
		require.NoError(n.t, n.t.Context().Err())
	}
}

// A switch that is full spends no handshake on whoever cannot be one that it
// always lets in; that one gets in.
func TestFullSwitchRefusesBeforeTheHandshake(t *testing.T) {
	friend, sentry := newGuardedNode(t), newGuardedNode(t)
	stranger, late := newGuardedNode(t), newGuardedNode(t)
	// The persistent peer is not found at its address: it dials.
	elsewhere := friend.addr
	elsewhere.IP = net.IPv4(127, 0, 0, 2)
	opts := []adapter.SwitchOption{
		adapter.WithMaxInboundPeers(1), adapter.WithAllowDuplicateIP(true),
		adapter.WithPersistentPeers([]*types.NetAddress{&elsewhere}),
		adapter.WithUnconditionalPeers([]types.ID{sentry.addr.ID}),
	}
	hub := newGuardedNode(t, opts...)
	stranger.dial(hub)
	require.True(t, hub.connect(), "it could be the friend")
	late.DialPeers(&hub.addr)
	refusal, ok := hub.next().(events.PeerRejectedEvent)
	require.True(t, ok)
	require.Equal(t, late.addr.ID, refusal.PeerID)
	var reject *compat.RejectError
	require.ErrorAs(t, refusal.Reason, &reject)
	require.Equal(t, compat.RejectFull, reject.Code)
	require.IsType(t, &net.TCPAddr{}, refusal.Address)

	friend.dial(hub)
	require.True(t, hub.connect(), "it could be the sentry")
	sentry.dial(hub)
	require.Empty(t, hub.levels.get(refusedEarly))
	for range 3 {
		require.False(t, hub.connect(), "nobody is left who could come in")
	}
	require.Len(t, hub.levels.get(refusedEarly), 3)
	require.Equal(t, []slog.Level{slog.LevelInfo, slog.LevelDebug, slog.LevelDebug}, hub.levels.get(refusedEarly))

	hub.StopPeerForError(hub.Peers().Get(friend.addr.ID), nil)
	require.Equal(t, events.PeerDisconnected, hub.next().Type())
	require.True(t, hub.connect())
	friend.awaitLoss()
	friend.dial(hub)
	require.False(t, hub.connect())
	require.Len(t, hub.levels.get(refusedEarly), 4)

	require.NoError(t, hub.Stop())
	require.False(t, hub.connect(), "a switch that has stopped lets nobody in")
	friend.awaitLoss()
	hub.start(opts...)
	hub.awaitAccept()
	friend.dial(hub)
}

// Without anybody who is exempt, a second connection of an IP is not worth a
// handshake.
func TestGuardRefusesBeforeTheHandshake(t *testing.T) {
	hub, stranger := newGuardedNode(t), newGuardedNode(t)
	require.True(t, hub.connect())
	stranger.dial(hub)
	require.False(t, hub.connect())
	require.Len(t, hub.levels.get(refusedEarly), 1)
	hub.StopPeerForError(hub.Peers().Get(stranger.addr.ID), nil)
	require.Equal(t, events.PeerDisconnected, hub.next().Type())
}

// Whoever the switch does not want is refused before a peer is made of it.
func TestAcceptAsksTheSwitch(t *testing.T) {
	hub := newGuardedNode(t)
	guest := newGuardedNode(t)
	require.NoError(t, hub.Stop())

	asked := make(chan compat.ConnInfo, 1)
	ctx, cancel := context.WithTimeout(t.Context(), guardTimeout)
	defer cancel()
	b := &picky{asked: asked}
	accepted := make(chan error, 1)
	go func() {
		_, err := hub.tr.Accept(ctx, b)
		accepted <- err
	}()
	hub.awaitAccept()
	guest.DialPeers(&hub.addr)
	info := <-asked
	require.Equal(t, guest.addr.ID, info.SocketAddr.ID)
	require.True(t, info.RemoteIP.IsLoopback())
	require.False(t, info.Outbound)
	require.NotNil(t, info.Conn)
	require.Empty(t, info.DelegatedBy)
	guest.awaitLoss()
	cancel()
	require.ErrorIs(t, <-accepted, context.Canceled)
}

// picky is a switch without channels that wants nobody.
type picky struct{ asked chan compat.ConnInfo }

func (*picky) ReactorChDescriptors() []*compat.ChannelDescriptor { return nil }
func (*picky) Reactors() map[byte]compat.Reactor                 { return nil }
func (*picky) HandlePeerError(compat.PeerConn, error)            {}
func (*picky) IsPersistentPeer(types.ID) bool                    { return false }
func (*picky) IsPrivatePeer(types.ID) bool                       { return false }

func (p *picky) AdmitPeer(conn compat.ConnInfo, _ types.NodeInfo) error {
	p.asked <- conn

	return compat.Reject(compat.RejectBanned, "")
}
