package native

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestMessagesCrossInOrder(t *testing.T) {
	dialer, listener := newTransport(t, "net"), listen(t, "net")
	bd, bl := newBehavior(), newBehavior()
	out, in := connect(t, dialer, listener, bd, bl)
	require.NoError(t, out.Start())
	require.NoError(t, in.Start())

	for _, size := range []int{1, 1023, 1024, 1025, 1 << 20} {
		msg := strings.Repeat("m", size)
		require.True(t, out.Send(chA, []byte(msg)))
		require.True(t, in.Send(chB, []byte(msg)))
		require.Equal(t, received{chA, msg}, next(t, bl.messages))
		require.Equal(t, received{chB, msg}, next(t, bd.messages))
	}
	require.False(t, out.Send(chA, nil), "an empty message is never sent")
	require.False(t, out.Send(0x77, []byte("x")), "the remote does not list the channel")

	require.NoError(t, out.Stop())
	require.ErrorIs(t, next(t, bl.errs), io.EOF)
	require.False(t, out.Send(chA, []byte("x")), "a stopped peer takes nothing")
}

// Both ends of a connection can hand over everything and then end it.
func TestFlushStopDeliversEverything(t *testing.T) {
	for _, fromInbound := range []bool{false, true} {
		dialer, listener := newTransport(t, "net"), listen(t, "net")
		bd, bl := newBehavior(), newBehavior()
		from, to := connect(t, dialer, listener, bd, bl)
		arrives, ends := bl.messages, bl.errs
		if fromInbound {
			from, to, arrives, ends = to, from, bd.messages, bd.errs
		}
		require.NoError(t, from.Start())
		require.NoError(t, to.Start())
		long := strings.Repeat("l", 1<<18)
		for range 3 {
			require.True(t, from.Send(chA, []byte(long)))
		}
		from.FlushStop()
		for range 3 {
			require.Equal(t, received{chA, long}, next(t, arrives))
		}
		require.ErrorIs(t, next(t, ends), io.EOF)
	}
}

func TestPeerDescribesItself(t *testing.T) {
	dialer, listener := newTransport(t, "net"), listen(t, "net")
	out, in := connect(t, dialer, listener, newBehavior(), newBehavior())

	require.Equal(t, listener.NetAddress().ID, out.ID())
	require.Equal(t, dialer.NetAddress().ID, in.ID())
	require.True(t, out.IsOutbound())
	require.False(t, in.IsOutbound())
	require.True(t, out.IsPrivate())
	listening := listener.NetAddress()
	require.Equal(t, listening.String(), out.SocketAddr().String())
	require.Equal(t, listener.NetAddress().Port, out.NodeInfo().NetAddress.Port, "port 0 is completed by Listen")
	require.True(t, out.RemoteIP().IsLoopback())

	require.Nil(t, out.Get("k"))
	out.Set("k", 1)
	require.Equal(t, 1, out.Get("k"))
	require.Nil(t, in.Get("k"))
}

func TestDialRefusesWrongID(t *testing.T) {
	dialer, listener := newTransport(t, "net"), listen(t, "net")
	addr := listener.NetAddress()
	addr.ID = types.GenerateNodeKey().ID()

	_, err := dialer.Dial(testContext(t), addr, newBehavior())
	require.ErrorIs(t, err, ErrWrongID)
	require.ErrorContains(t, err, string(addr.ID))
	require.ErrorContains(t, err, string(listener.NetAddress().ID))
}

func TestDialRefusesSelf(t *testing.T) {
	listener := listen(t, "net")
	_, err := listener.Dial(testContext(t), listener.NetAddress(), newBehavior())
	require.ErrorIs(t, err, ErrSelf)
}

func TestDialRefusesOtherNetwork(t *testing.T) {
	dialer, listener := newTransport(t, "mine"), listen(t, "yours")
	_, err := dialer.Dial(testContext(t), listener.NetAddress(), newBehavior())

	var he *HandshakeError
	require.ErrorAs(t, err, &he)
	require.Equal(t, "node info", he.Step)
	require.ErrorContains(t, err, "mine")
	require.ErrorContains(t, err, "yours")
}

// A listener that was refused goes on serving, and never hands out the refused.
func TestAcceptSkipsFailedHandshakes(t *testing.T) {
	listener := listen(t, "net")
	for _, greeting := range []string{"GET / HTTP/1.1\r\n\r\n", "", "\x22\x0a\x20", strings.Repeat("\xff", 64)} {
		conn, err := net.Dial("tcp", dialString(listener))
		require.NoError(t, err)
		_, err = io.WriteString(conn, greeting)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	_, err := newTransport(t, "other").Dial(testContext(t), listener.NetAddress(), newBehavior())
	require.Error(t, err)

	out, in := connect(t, newTransport(t, "net"), listener, newBehavior(), newBehavior())
	require.Equal(t, out.RemoteAddr().String(), dialString(listener))
	require.NotNil(t, in)
}

func TestSilentConnectionIsClosedAtTheDeadline(t *testing.T) {
	listener := newTransport(t, "net")
	listener.timeout = time.Millisecond
	require.NoError(t, listener.Listen(loopback()))

	conn, err := net.Dial("tcp", dialString(listener))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err, "the listener closes the connection")
}

func TestAcceptEndsWithContextAndClose(t *testing.T) {
	listener := listen(t, "net")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := listener.Accept(ctx, newBehavior())
	require.ErrorIs(t, err, context.Canceled)

	require.NoError(t, listener.Close())
	_, err = listener.Accept(t.Context(), newBehavior())
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	_, err = listener.Dial(t.Context(), *nodeInfo(types.GenerateNodeKey().ID(), "net").NetAddress, newBehavior())
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	require.ErrorIs(t, listener.Listen(loopback()), compat.ErrTransportClosed)
}

func TestListenReportsUnusableNodeInfo(t *testing.T) {
	key := types.GenerateNodeKey()
	info := nodeInfo(types.GenerateNodeKey().ID(), "net")
	mt := NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	require.ErrorContains(t, mt.Listen(loopback()), string(key.ID()))
	require.NoError(t, mt.Close())
}

func TestRemoveClosesAnUnstartedPeer(t *testing.T) {
	listener := listen(t, "net")
	bd := newBehavior()
	out, in := connect(t, newTransport(t, "net"), listener, bd, newBehavior())
	require.NoError(t, out.Start())
	listener.Remove(in)
	listener.Remove(in)
	require.ErrorIs(t, next(t, bd.errs), io.EOF)
}

// A reactor may stop its own peer from Receive.
func TestStopInsideReceive(t *testing.T) {
	bl := newBehavior()
	stopper := &stopInReceive{behavior: bl, stopped: make(chan error, 1)}
	listener := listen(t, "net")
	ctx := testContext(t)
	accepted := make(chan compat.PeerConn, 1)
	go func() {
		p, err := listener.Accept(ctx, stopper)
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- p
	}()
	bd := newBehavior()
	out, err := newTransport(t, "net").Dial(ctx, listener.NetAddress(), bd)
	require.NoError(t, err)
	require.NoError(t, (<-accepted).Start())
	require.NoError(t, out.Start())

	require.True(t, out.Send(chA, []byte("stop")))
	require.NoError(t, next(t, stopper.stopped))
	require.Error(t, next(t, bd.errs))
}

type stopInReceive struct {
	*behavior
	stopped chan error
}

func (s *stopInReceive) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{chA: s, chB: s}
}

func (s *stopInReceive) Receive(_ byte, p compat.PeerConn, _ []byte) { s.stopped <- p.Stop() }

func TestRelayAnswersAfterItHasSeenTheRemote(t *testing.T) {
	key := types.GenerateNodeKey()
	relay := NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil)
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	require.NoError(t, relay.Listen(loopback()))

	dialer := newTransport(t, "net")
	ctx := testContext(t)
	type dialed struct {
		p   compat.PeerConn
		err error
	}
	done := make(chan dialed, 1)
	go func() {
		p, err := dialer.Dial(ctx, relay.NetAddress(), newBehavior())
		done <- dialed{p, err}
	}()
	pending, err := relay.AcceptPending(ctx)
	require.NoError(t, err)
	require.Equal(t, dialer.NetAddress().ID, pending.ID())
	require.Equal(t, "net", pending.NodeInfo().Network)

	shown := nodeInfo(key.ID(), "net")
	shown.Moniker = "far"
	in, err := pending.Complete(shown, newBehavior())
	require.NoError(t, err)
	require.False(t, in.IsOutbound())
	out := next(t, done)
	require.NoError(t, out.err)
	require.Equal(t, "far", out.p.NodeInfo().Moniker)
}
