package sniff

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// A peeked connection behaves as the one below it.
func TestPeekedConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer listener.Close()
		dialed, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		accepted, err := listener.Accept()
		if err != nil {
			return nil, nil, nil, err
		}

		return NewPeekedConn(dialed), NewPeekedConn(accepted), func() {
			_ = dialed.Close()
			_ = accepted.Close()
		}, nil
	})
}

// What was peeked is read, the other side of the connection can be closed alone, and options
// of the socket can be set.
func TestPeekedConnGoesOnUnharmed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer dialed.Close()
	accepted, err := listener.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	c := NewPeekedConn(accepted)

	_, err = dialed.Write(MultistreamHeader)
	require.NoError(t, err)
	first, err := c.PeekWithin(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, "libp2p", Protocol(first))
	require.Empty(t, c.Shown(), "nothing was read")
	require.NoError(t, c.CloseWrite())
	_, err = dialed.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, err = c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, dialed.(*net.TCPConn).CloseWrite())
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, MultistreamHeader, all)
	require.Equal(t, "libp2p", c.Shown())
}

// readConn is a connection of which only Read works.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// Whatever a remote sends, and however it arrives, is read as it was sent, and its protocol
// depends on the first bytes alone.
func FuzzPeekedConn(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(NativeStart, true)
	f.Add(MultistreamHeader, false)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, sent []byte, slowly bool) {
		var r io.Reader = bytes.NewReader(sent)
		if slowly {
			r = iotest.OneByteReader(r)
		}
		c := NewPeekedConn(readConn{Reader: r})
		first, err := c.Buf.Peek(len(NativeStart))
		if err == nil != (len(sent) >= len(NativeStart)) || !bytes.HasPrefix(sent, first) {
			t.Fatalf("peeked %x, %v", first, err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("read %x, %v", got, err)
		}
		if c.Shown() != Protocol(sent) {
			t.Fatalf("shown %q, of all %q", c.Shown(), Protocol(sent))
		}
	})
}
