package lp2p

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

// take takes memory that is there.
func take(t *testing.T, a *assembly, n int) {
	t.Helper()
	waited, err := a.take(t.Context(), n)
	require.NoError(t, err)
	require.False(t, waited)
}

func TestAssemblyRefusesTooMuchUnfinished(t *testing.T) {
	a := newAssembly(10)
	take(t, a, 6)
	_, err := a.take(t.Context(), 5)
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

		done := make(chan error)
		go func() {
			waited, err := a.take(t.Context(), 5)
			if !waited {
				t.Error("there was no room")
			}
			done <- err
		}()
		synctest.Wait()
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
		_, err := a.take(ctx, 5)
		require.ErrorIs(t, err, errStopped)

		take(t, a, 2)
		done := make(chan error)
		go func() {
			_, err := a.take(t.Context(), 9)
			done <- err
		}()
		synctest.Wait()
		a.release(8, 8)
		require.ErrorIs(t, <-done, control.ErrProtocol, "what is left is unfinished")
	})
}
