package sniff

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProtocol(t *testing.T) {
	for first, want := range map[string]string{
		string(NativeStart) + "rest": "native", string(MultistreamHeader): "libp2p", "SSH-2.0-OpenSSH": "SSH",
		"HTTP/1.1 400": "HTTP", "GET / HTTP/1.1": "HTTP", "\x16\x03\x01": "TLS", "\x15\x03\x01": "TLS",
		"PROXY TCP4 192.0.2.1": "PROXY", "\r\n\r\n\x00\r\nQUIT\n!": "PROXY",
		"\xa2\x00\x0a\x20": "native", "\xa2\x80\x00\x0a": "native", "\xa2\x80\x80\x80": "native",
		"": "", "\x22\x0a": "", "\xa2\x00\x22": "", "hello": "",
	} {
		require.Equal(t, want, Protocol([]byte(first)), "%q", first)
	}
}

// What was looked at is read again, silence ends the wait early enough for the caller
// to speak first, and the end of the context closes the connection.
func TestPeekWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local, remote := net.Pipe()
		defer local.Close()
		defer remote.Close()
		conn := NewPeekedConn(local)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := conn.PeekWithin(ctx, time.Minute)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))

		go func() { _, _ = remote.Write([]byte("SSH-2.0")) }()
		first, err := conn.PeekWithin(t.Context(), time.Second)
		require.NoError(t, err)
		require.Equal(t, "SSH", Protocol(first))
		all := make([]byte, 7)
		_, err = io.ReadFull(conn, all)
		require.NoError(t, err)
		require.Equal(t, "SSH-2.0", string(all))

		time.AfterFunc(time.Minute, func() { _, _ = remote.Write([]byte("x")) })
		_, err = conn.Read(all)
		require.NoError(t, err, "the wait has ended")

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = conn.PeekWithin(ctx, time.Minute)
		require.ErrorIs(t, err, context.Canceled)
		_, err = remote.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
