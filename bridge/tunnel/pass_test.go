package tunnel

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

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
	passed := make(chan ending, 1)
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
	require.Equal(t, ending{}, next(t, passed), "the libp2p node has ended it")
}

// A native node that takes and sends nothing loses its tunnel, although the bridge does not see
// that the libp2p node has long ended it, behind what the native node does not take.
func TestSilentNodeThatTakesNothingLosesItsTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, native := net.Pipe()
		stream, node := net.Pipe()
		begun, passed := time.Now(), make(chan ending, 1)
		go func() { passed <- passOn(conn, stream, &link{}) }()
		require.NoError(t, node.SetWriteDeadline(begun.Add(time.Second)))
		var err error
		for err == nil {
			_, err = node.Write(make([]byte, 1<<10))
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the native node takes nothing")
		require.NoError(t, node.Close())

		end := <-passed
		require.True(t, end.byNative)
		require.ErrorIs(t, end.err, errStalled)
		require.Equal(t, maxSilence, time.Since(begun))
		_, err = native.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// A native node that takes nothing because it is busy, and pings meanwhile, keeps its tunnel, and
// what was sent to it. But bytes alone keep no tunnel for ever.
func TestBusyNodeKeepsItsTunnel(t *testing.T) {
	for busy, kept := range map[time.Duration]bool{maxBusy - time.Minute: true, 2 * maxBusy: false} {
		synctest.Test(t, func(t *testing.T) {
			conn, native := net.Pipe()
			stream, node := net.Pipe()
			begun, passed, drained := time.Now(), make(chan ending, 1), make(chan struct{})
			go func() { passed <- passOn(conn, stream, &link{}) }()
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, node) // the pings, until the tunnel ends
			}()
			_, err := node.Write([]byte("held back"))
			require.NoError(t, err)
			for err = nil; err == nil && time.Since(begun) < busy; {
				time.Sleep(time.Minute)
				_, err = native.Write([]byte("ping"))
			}
			if kept {
				require.NoError(t, err)
				got := make([]byte, len("held back"))
				_, err = io.ReadFull(native, got)
				require.NoError(t, err)
				require.Equal(t, "held back", string(got))
				require.NoError(t, native.Close())
				require.Equal(t, ending{byNative: true}, <-passed)
			} else {
				end := <-passed
				require.True(t, end.byNative)
				require.ErrorIs(t, end.err, errStalled)
				require.ErrorIs(t, err, io.ErrClosedPipe)
			}
			<-drained
			require.NoError(t, node.Close())
		})
	}
}

// Both ends may be busy at a time: what one sends is then not read, and so no sign of life.
func TestBothEndsMayBeBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, native := net.Pipe()
		stream, node := net.Pipe()
		passed := make(chan ending, 1)
		go func() { passed <- passOn(conn, stream, &link{}) }()
		sent := []byte("held back")
		for _, from := range []net.Conn{native, node} {
			_, err := from.Write(sent)
			require.NoError(t, err)
		}
		time.Sleep(maxBusy - time.Second)
		for _, to := range []net.Conn{native, node} {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(to, got)
			require.NoError(t, err)
			require.Equal(t, sent, got)
		}
		require.NoError(t, native.Close())
		require.Equal(t, ending{byNative: true}, <-passed)
		require.NoError(t, node.Close())
	})
}
