package lp2p

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

func TestAssemblyRefusesTooMuchUnfinished(t *testing.T) {
	a := newAssembly(10)
	ok, room := a.tryTake(6)
	require.True(t, ok)
	require.Nil(t, room)
	ok, _ = a.tryTake(5)
	require.False(t, ok, "nothing is complete, so nothing will make room")
	a.release(6, 0)
	ok, room = a.tryTake(10)
	require.True(t, ok)
	require.Nil(t, room)
}

// A message that has arrived still takes up memory until its reactor has received it.
func TestAssemblyWaitsForDeliveries(t *testing.T) {
	a := newAssembly(10)
	_, _ = a.tryTake(8)
	a.finish(8)
	ok, room := a.tryTake(5)
	require.True(t, ok)
	require.NotNil(t, room)

	done := make(chan error)
	go func() { done <- a.waitRoom(t.Context(), 5, room) }()
	a.release(8, 8)
	require.NoError(t, <-done)
	require.Equal(t, 5, a.used)
	require.Zero(t, a.complete)
}

func TestAssemblyStopsWaiting(t *testing.T) {
	a := newAssembly(10)
	_, _ = a.tryTake(8)
	a.finish(8)
	_, room := a.tryTake(5)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, a.waitRoom(ctx, 5, room), errStopped)

	_, _ = a.tryTake(2)
	_, room = a.tryTake(9)
	a.release(8, 8)
	require.ErrorIs(t, a.waitRoom(t.Context(), 9, room), control.ErrProtocol, "what is left is unfinished")
}
