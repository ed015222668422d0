package lp2p

import (
	"io"
	"net"
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
	a.HandleStream(echo, serve)
	b.HandleStream(echo, serve)
	talk := func(conn net.Conn) {
		_, err := conn.Write([]byte("hello"))
		require.NoError(t, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
	}
	at := b.NetAddress()
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
