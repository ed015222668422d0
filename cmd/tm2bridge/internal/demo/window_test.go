package demo

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestWindowBoundsOpenMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		emptied := 0
		w := newWindow(2, 1, func() { emptied++ })

		first, err := w.begin(ctx, 0x20)
		require.NoError(t, err)
		second, err := w.begin(ctx, 0x20)
		require.NoError(t, err)
		require.Equal(t, messageKey{channel: 0x20, seq: 2}, second)

		var third messageKey
		go func() { third, _ = w.begin(ctx, 0x30) }()
		synctest.Wait()
		require.Zero(t, third, "there was room for a third message")

		require.True(t, w.seen(first))
		synctest.Wait()
		require.Equal(t, messageKey{channel: 0x30, seq: 1}, third, "channels are numbered apart")
		require.Zero(t, emptied)

		require.True(t, w.seen(second))
		require.True(t, w.seen(third))
		require.Equal(t, 1, emptied)
		require.True(t, w.empty())

		for range 2 {
			_, err = w.begin(ctx, 0x20)
			require.NoError(t, err)
		}
		cancel()
		_, err = w.begin(ctx, 0x20)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestWindowWaitsForCopies(t *testing.T) {
	w := newWindow(1, 2, func() {})
	key, err := w.begin(t.Context(), 0x20)
	require.NoError(t, err)
	w.queued(key, 2)
	require.True(t, w.seen(key))
	w.queued(key, 1)
	require.True(t, w.seen(key))
	require.False(t, w.empty(), "copies still wait in queues")
	require.False(t, w.seen(key), "a third node of two")
	w.queued(key, -2)
	require.False(t, w.empty())
	w.queued(key, -1)
	require.True(t, w.empty())
	require.False(t, w.seen(key), "the message is closed")
}

func TestWindowRefusesUnknownMessages(t *testing.T) {
	w := newWindow(1, 1, func() {})
	require.False(t, w.seen(messageKey{channel: 0x20, seq: 1}))
	require.True(t, w.empty())
}
