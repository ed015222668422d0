package lp2p

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// early is a connection whose deadline comes a moment before that of the context.
type early struct{ net.Conn }

func (early) Write(p []byte) (int, error) { return len(p), nil }
func (early) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
}
func (early) Close() error                     { return nil }
func (early) SetDeadline(time.Time) error      { return nil }
func (early) SetReadDeadline(time.Time) error  { return nil }
func (early) SetWriteDeadline(time.Time) error { return nil }

// Silence is no proof of a foreign protocol, whichever deadline passes first.
func TestProbeTakesSilenceForSilence(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	dial := func(context.Context, string, string) (net.Conn, error) { return early{}, nil }
	_, err := probeIdentity(ctx, dial, "192.0.2.1:1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, errors.Is(err, ErrNotLibp2p))
}
