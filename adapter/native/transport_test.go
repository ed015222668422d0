package native

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestDialRefusesWrongID(t *testing.T) {
	dialer, listener := newTransport(t, "net"), listen(t, "net")
	addr := listener.NetAddress()
	addr.ID = types.GenerateNodeKey().ID()

	_, err := dialer.Dial(testContext(t), addr, newBehavior())
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, string(addr.ID))
	require.ErrorContains(t, err, string(listener.NetAddress().ID))
}

func TestDialRefusesSelf(t *testing.T) {
	listener := listen(t, "net")
	_, err := listener.Dial(testContext(t), listener.NetAddress(), newBehavior())
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, compat.RejectSelf, reject.Code)
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

func TestRelayAnswersAfterItHasSeenTheRemote(t *testing.T) {
	key := types.GenerateNodeKey()
	relay := NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil, WithHandshakeTimeout(testTimeout))
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
