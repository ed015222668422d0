package socket

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a listener whose Accept returns these errors in turn; nil is a connection.
type scripted struct {
	net.Listener
	results []error
}

func (l *scripted) Accept() (net.Conn, error) {
	err := l.results[0]
	l.results = l.results[1:]

	return nil, err
}

// Failures of the system are waited out, longer each time, until there is a connection.
func TestAcceptWaitsAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &scripted{}
		for range 10 {
			l.results = append(l.results, syscall.EMFILE)
		}
		l.results = append(l.results, nil, syscall.EMFILE, nil, net.ErrClosed)
		var (
			conns   int
			delays  []time.Duration
			ctx, on = context.WithCancel(t.Context())
			begun   = time.Now()
		)
		failed := func(retryIn time.Duration, err error) {
			require.ErrorIs(t, err, syscall.EMFILE)
			delays = append(delays, retryIn)
		}
		Accept(ctx, l, func(net.Conn) { conns++ }, failed)
		require.Equal(t, 2, conns)
		ms := time.Millisecond
		require.Equal(t, []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms,
			time.Second, time.Second, 5 * ms}, delays)
		require.Equal(t, 3280*ms, time.Since(begun))

		on()
		l.results = []error{syscall.EMFILE, nil}
		Accept(ctx, l, func(net.Conn) { conns++ }, failed)
		require.Equal(t, 2, conns, "the context has ended")
	})
}
