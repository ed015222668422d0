package stream

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"
)

// once returns bytes and an error together, and then nothing for ever.
type once struct {
	io.Writer
	err error
}

func (o *once) Read(p []byte) (int, error) {
	err := o.err
	o.err = nil
	if err == nil {
		return 0, io.ErrNoProgress
	}

	return copy(p, "bytes"), err
}

// onOpenConn is a stream of a connection that is open.
type onOpenConn struct{ network.Stream }

type openConn struct{ network.Conn }

func (onOpenConn) Conn() network.Conn { return openConn{} }
func (openConn) IsClosed() bool       { return false }

func TestStreamTellsTheErrorAfterTheBytes(t *testing.T) {
	for _, want := range []error{io.EOF, os.ErrDeadlineExceeded} {
		s := &Stream{Stream: onOpenConn{}, rw: &once{Writer: new(bytes.Buffer), err: want}}
		b := make([]byte, 10)
		n, err := s.Read(b)
		require.NoError(t, err)
		require.Equal(t, "bytes", string(b[:n]))
		n, err = s.Read(b)
		require.ErrorIs(t, err, want)
		require.Zero(t, n)
		_, err = s.Read(b)
		require.ErrorIs(t, err, io.ErrNoProgress)
	}
}
