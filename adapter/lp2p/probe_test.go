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

// told is a connection that tells when it is closed.
type told struct {
	net.Conn
	closed chan struct{}
}

func (t told) Close() error {
	close(t.closed)

	return nil
}

// A handshake that is done when its time is over, so that the connection is being closed, has
// failed, and what it has made is closed.
func TestNoDyingConnectionIsHandedOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, made := told{closed: make(chan struct{})}, told{closed: make(chan struct{})}
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	got, err := reach(ctx, dial, probeTimeout, "192.0.2.1:1", func(context.Context, net.Conn) (net.Conn, error) {
		cancel()
		<-conn.closed

		return made, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, got)
	<-made.closed
}

// Silence is no proof of a foreign protocol, whichever deadline passes first.
func TestProbeTakesSilenceForSilence(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	dial := func(context.Context, string, string) (net.Conn, error) { return early{}, nil }
	_, err := probeIdentity(ctx, dial, probeTimeout, "192.0.2.1:1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, errors.Is(err, ErrNotLibp2p))
}
