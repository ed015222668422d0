package tunnel

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// connect returns both ends of a TCP connection.
func connect(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	far, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	near, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() {
		_ = near.Close() // they may be closed already
		_ = far.Close()
	})

	return near, far
}

// What the libp2p node has sent before it ends a tunnel reaches a native node that is slow to
// read it, whatever that one has sent meanwhile.
func TestEndOfTheLibp2pNodeLosesNothing(t *testing.T) {
	conn, native := connect(t)
	stream, node := connect(t)
	sent := bytes.Repeat([]byte("message "), 1<<16)
	_, err := native.Write(sent[:1<<16])
	require.NoError(t, err)
	passed := make(chan bool, 1)
	go func() { passed <- passOn(conn, stream, &link{}) }()
	_, err = node.Write(sent)
	require.NoError(t, err)
	require.NoError(t, socket.CloseWrite(node))
	_, err = native.Write(sent[:1<<10])
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, node) // until the bridge has ended its side
	require.NoError(t, err)

	got, err := io.ReadAll(native)
	require.NoError(t, err)
	require.Equal(t, len(sent), len(got))
	require.NoError(t, native.Close())
	require.False(t, next(t, passed), "the libp2p node has ended it")
}
