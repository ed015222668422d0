package lp2p

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A stream of another protocol carries bytes both ways, and keeps its connection. The node that
// was dialed opens one on the connection that it has, though nobody can dial the other.
func TestOpenStream(t *testing.T) {
	const echo = "/test/echo/1"
	a, b := newNode(t, nil), newNode(t, nil)
	from := make(chan types.ID, 2)
	serve := func(id types.ID, conn net.Conn) {
		from <- id
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}
	a.HandleStream(echo, anybody, serve)
	b.HandleStream(echo, anybody, serve)
	talk := func(conn net.Conn) {
		_, err := conn.Write([]byte("hello"))
		require.NoError(t, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
	}
	at := b.NetAddress()
	at.ID = types.ID(strings.ToUpper(at.ID.String())) // any form of the ID will do
	there, err := a.OpenStream(timeout(t), at, echo)
	require.NoError(t, err)
	talk(there)
	require.Equal(t, a.key.ID(), <-from)
	require.Equal(t, at.DialString(), there.RemoteAddr().String())

	nowhere := a.NetAddress()
	nowhere.Port = 1
	back, err := b.OpenStream(timeout(t), nowhere, echo)
	require.NoError(t, err)
	talk(back)
	require.Equal(t, b.key.ID(), <-from)
	require.NoError(t, there.Close())
	talk(back)
	require.NoError(t, back.Close())
	b.awaitNoConns(t)
	a.awaitNoConns(t)

	_, err = a.OpenStream(timeout(t), a.NetAddress(), echo)
	require.ErrorContains(t, err, "this node")
	left, err := a.OpenStream(timeout(t), b.NetAddress(), echo)
	require.NoError(t, err)
	talk(left)
	require.NoError(t, a.Close())
	_, err = left.Read(make([]byte, 1))
	require.Error(t, err)
	_ = left.Close()
	_, err = a.OpenStream(timeout(t), b.NetAddress(), echo)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
}

func anybody(types.ID) bool { return true }

// A stream of a stranger counts as a handshake and does not protect its connection, one that is
// expected does.
func TestStreamsOfStrangersAreHandshakes(t *testing.T) {
	const proto = "/test/wait/1"
	a, b, stranger := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	served := make(chan net.Conn, 2)
	b.HandleStream(proto, func(from types.ID) bool { return from == a.key.ID() }, func(_ types.ID, conn net.Conn) {
		served <- conn
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	isProtected := func(n *node) bool { return b.host.ConnManager().IsProtected(n.host.ID(), "") }
	for i, n := range []*node{a, stranger} {
		conn, err := n.OpenStream(timeout(t), b.NetAddress(), proto)
		require.NoError(t, err)
		_, err = conn.Write([]byte("x"))
		require.NoError(t, err)
		<-served
		require.Equal(t, i, b.handshakes.places.Taken())
		require.Equal(t, n == a, isProtected(n))
		require.NoError(t, conn.Close())
	}
}

// The streams of a node that is blocked end, and its connection with them.
func TestBlockEndsOpenStreams(t *testing.T) {
	const proto = "/test/wait/1"
	a, b := newNode(t, nil), newNode(t, nil)
	ended := make(chan struct{})
	b.HandleStream(proto, anybody, func(_ types.ID, conn net.Conn) {
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
		close(ended)
	})
	conn, err := a.OpenStream(timeout(t), b.NetAddress(), proto)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, b.Block(a.key.ID()))
	select {
	case <-ended:
	case <-timeout(t).Done():
		require.FailNow(t, "the stream of a blocked node goes on")
	}
	b.awaitNoConns(t)
}
