package stream

import (
	"bytes"
	"io"
	"os"
	"testing"

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

func TestStreamTellsTheErrorAfterTheBytes(t *testing.T) {
	for _, want := range []error{io.EOF, os.ErrDeadlineExceeded} {
		s := &Stream{rw: &once{Writer: new(bytes.Buffer), err: want}}
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
