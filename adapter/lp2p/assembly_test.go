package lp2p

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// take takes memory that is there.
func take(t *testing.T, a *assembly, n int) {
	t.Helper()
	room, err := a.tryTake(n)
	require.NoError(t, err)
	require.Nil(t, room)
}

func TestAssemblyRefusesTooMuchUnfinished(t *testing.T) {
	a := newAssembly(10)
	take(t, a, 6)
	err := a.take(t.Context(), 5)
	require.ErrorIs(t, err, control.ErrProtocol, "nothing is complete, so nothing will make room")
	a.release(6, 0)
	take(t, a, 10)
}

// A message that has arrived uses memory until its reactor has received it.
func TestAssemblyWaitsForDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(10)
		take(t, a, 8)
		a.finish(8)

		done := make(chan error, 1)
		go func() { done <- a.take(t.Context(), 5) }()
		synctest.Wait()
		require.Empty(t, done, "there is no room")
		a.release(8, 8)
		require.NoError(t, <-done)
		require.Equal(t, 5, a.used)
		require.Zero(t, a.complete)
	})
}

func TestAssemblyStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(10)
		take(t, a, 8)
		a.finish(8)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.take(ctx, 5), errStopped)

		take(t, a, 2)
		done := make(chan error)
		go func() { done <- a.take(t.Context(), 9) }()
		synctest.Wait()
		a.release(8, 8)
		require.ErrorIs(t, <-done, control.ErrProtocol, "what is left is unfinished")
	})
}

// The deadline of a message is for its remote: it does not pass while the message waits
// until a busy reactor has received others.
func TestAssemblyIsNotTimedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		for _, d := range b.descs {
			d.RecvMessageCapacity = maxSendBytes
		}
		free := make(chan struct{})
		b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free }
		pa, pb := connect(t, a, b)
		require.True(t, pa.Send(chA, make([]byte, maxPartialBytes/2+1)))
		b.reactor.await(t, 1)
		require.True(t, pa.Send(chB, make([]byte, maxPartialBytes/2+1)))
		time.Sleep(2 * DefaultTimeouts().Assembly)
		require.True(t, pb.IsRunning())
		close(free)
		b.reactor.await(t, 2)
		require.Empty(t, b.failures)
	})
}
