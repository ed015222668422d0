package tunnel

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// A native node dials a node that has libp2p connections only, and that nobody can dial, by its
// own ID at the bridge. Each proves its ID to the other, and neither sees the bridge.
func TestNativeNodeDialsThroughATunnel(t *testing.T) {
	w := newWorld(t, Config{})
	far := startNative(t, types.GenerateNodeKey(), nil)
	at := w.server.Addresses()
	require.Len(t, at, 1)
	require.Equal(t, w.node.key.ID(), at[0].ID)
	out := far.join(t, at[0])
	in := w.node.met(t)
	require.Equal(t, w.node.key.ID(), out.ID())
	require.Equal(t, far.key.ID(), in.ID())
	require.Equal(t, "127.0.0.1", in.RemoteIP().String())
	require.Nil(t, in.(compat.LocalPeer).LocalIP(), "a tunnel has none")
	require.NotEqual(t, w.bridge.NetAddress().Port, in.SocketAddr().Port, "it is the native node's address")
	exchange(t, out, in, far, w.node)

	w.node.sw.StopPeerForError(in, net.ErrClosed)
	require.Equal(t, w.node.key.ID(), next(t, far.removed), "the end of one side is that of the other")
}

// A node takes tunnels of its bridges only, and needs to know where the native node is.
func TestNodeTakesTunnelsOfItsBridges(t *testing.T) {
	w := newWorld(t, Config{})
	at := w.side.NetAddress()
	at.IP, at.Port = net.IPv4(127, 0, 0, 1), 1
	open := func(by *lp2p.Transport, text string) error {
		stream, err := by.OpenStream(t.Context(), at, protocolIn)
		require.NoError(t, err)
		defer stream.Close()

		return ask(stream, text, patience)
	}
	require.NoError(t, open(w.bridge, "9.9.9.9:1"))
	var refused *RefusedError
	require.ErrorAs(t, open(w.bridge, "somewhere"), &refused)
	require.Error(t, open(w.bridge, string(make([]byte, 2*maxText))), "an address is bounded")

	other := newSide(t, types.GenerateNodeKey(), true)
	other.AddrBook().LearnKey(ed25519.PublicKey(w.node.key.PrivKey[ed25519.SeedSize:]))
	otherAt := other.NetAddress()
	kept, err := w.side.OpenStream(t.Context(), otherAt, lp2p.NodeInfoProtocol) // a connection to it
	require.NoError(t, err)
	defer kept.Close()
	_, err = wire.ReadSized(kept, 1<<14)
	require.NoError(t, err)
	require.ErrorAs(t, open(other, "9.9.9.9:1"), &refused)
	require.Contains(t, refused.Reason, "no tunnel through the bridge")
}

// All tunnels that a bridge may open at once wait for a native transport that is slow to accept them: a
// burst of silent connections keeps no honest one out.
func TestTunnelsWaitToBeAccepted(t *testing.T) {
	bridge := types.GenerateNodeKey().ID()
	s := NewSockets(newSide(t, types.GenerateNodeKey(), false), []types.NetAddress{{ID: bridge, IP: loopback().IP, Port: 1}}, nil)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	var opened []net.Conn
	for range maxTunnels {
		near, far := net.Pipe()
		defer near.Close()
		served := make(chan struct{})
		go func() {
			defer close(served)
			s.serve(bridge, far)
		}()
		require.NoError(t, ask(near, "9.9.9.9:1", patience))
		next(t, served)
		opened = append(opened, near)
	}
	for _, near := range opened {
		accepted := next(t, s.waiting)
		go func() { _, _ = accepted.Write([]byte("x")) }() // the read below fails if it does not
		_, err := near.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, accepted.Close())
	}
}

// The bridge dials a target where it is now, which is not where it was at the start.
func TestBridgeDialsATargetThatHasMoved(t *testing.T) {
	key, bridge := types.GenerateNodeKey(), newSide(t, types.GenerateNodeKey(), true)
	side := newSide(t, key, true)
	var now atomic.Pointer[types.NetAddress]
	server, err := Serve(bridge, Config{
		Targets: []Target{{Node: types.NetAddress{ID: key.ID()}, Listen: loopback()}},
		Where:   func(types.ID) *types.NetAddress { return now.Load() },
		times:   patientTimes(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	outOfReach := bridge.NetAddress()
	outOfReach.Port = stacktest.FreePortAt(t, loopback().IP)
	sockets := NewSockets(side, []types.NetAddress{outOfReach}, nil)
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	inside, far := startNative(t, key, sockets), startNative(t, types.GenerateNodeKey(), nil)
	require.False(t, server.Status()[0].Dialable)

	at := side.NetAddress()
	now.Store(&at)
	require.True(t, server.Status()[0].Dialable)
	require.Equal(t, key.ID(), far.join(t, server.Addresses()[0]).ID())
	require.Equal(t, far.key.ID(), next(t, inside.added).ID())
	require.False(t, server.Status()[0].InReach)
}

// A block that comes later ends tunnels of both directions, and refuses further ones.
func TestBlockEndsTunnels(t *testing.T) {
	var on atomic.Bool
	far := startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at), Blocks: func(_ types.ID, ip netip.Addr) bool { return on.Load() && ip.IsLoopback() }})
	w.node.join(t, far.at)
	next(t, far.added)
	dialing := startNative(t, types.GenerateNodeKey(), nil)
	dialing.join(t, w.server.Addresses()[0])
	on.Store(true)
	w.server.EndBlocked()
	next(t, far.removed)
	next(t, dialing.removed)
}

// The status shows each target, what is open, and what was passed on.
func TestTunnelStatus(t *testing.T) {
	far, dialing := startNative(t, types.GenerateNodeKey(), nil), startNative(t, types.GenerateNodeKey(), nil)
	w := newWorld(t, Config{Reach: reach(far.at)})
	s := w.server.Status()
	require.Len(t, s, 1)
	require.Equal(t, w.node.key.ID(), s[0].ID)
	require.Equal(t, w.server.Addresses()[0].String(), s[0].Listen)
	require.True(t, s[0].InReach)
	require.True(t, s[0].Dialable)
	require.Empty(t, s[0].Open)

	out := w.node.join(t, far.at)
	atFar := far.met(t)
	dialing.join(t, w.server.Addresses()[0])
	in := w.node.met(t)
	exchange(t, out, atFar, w.node, far)
	require.Eventually(t, func() bool { // those of late dials end
		s = w.server.Status()

		return len(s[0].Open) == 2
	}, patience, time.Millisecond)
	require.Equal(t, Out, s[0].Open[0].Direction)
	require.Equal(t, far.at.DialString(), s[0].Open[0].Address)
	require.Equal(t, In, s[0].Open[1].Direction)
	require.NotZero(t, s[0].Open[0].ToNative)
	require.NotZero(t, s[0].Open[0].ToLibp2p)

	w.node.sw.StopPeerForError(in, net.ErrClosed)
	w.node.sw.StopPeerForError(out, net.ErrClosed)
	require.Eventually(t, func() bool { return len(w.server.Status()[0].Open) == 0 }, patience, time.Millisecond)
	require.GreaterOrEqual(t, w.server.Status()[0].Opened, uint64(2))
	require.LessOrEqual(t, w.server.Status()[0].Opened, uint64(2+w.node.late+dialing.late))
	require.GreaterOrEqual(t, w.server.Status()[0].ToNative, s[0].ToNative)
}

// Who opens many tunnels does not fill the log.
func TestTunnelsAreSummedUpInTheLog(t *testing.T) {
	var log bytes.Buffer
	s := &Server{events: summary.New(slog.New(slog.NewTextHandler(&log, nil))), counted: newCounters(), ctx: t.Context()}
	defer s.events.Close()
	for range 3 {
		conn, end := net.Pipe()
		stream, other := net.Pipe()
		require.NoError(t, end.Close())
		s.pass(conn, stream, "a", "in")
		require.NoError(t, other.Close())
	}
	require.Equal(t, 1, strings.Count(log.String(), "tunnel is open"))
	require.Equal(t, 1, strings.Count(log.String(), "tunnel has ended"))
	require.Contains(t, log.String(), `by=native err="it has closed the connection"`)
}
