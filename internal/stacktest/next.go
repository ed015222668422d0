package stacktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Next returns the next value of the channel. It ends the test if none comes within the time.
func Next[T any](t testing.TB, ch <-chan T, within time.Duration) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(within):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
