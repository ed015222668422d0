package sidebyside

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leave starts a goroutine that starts another one, which ends when the channel is closed.
func leave(until chan struct{}) {
	go func() { go func() { <-until }() }()
}

func TestGoroutinesOfATest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others, own := make(chan struct{}), make(chan struct{})
		leave(others)
		tracked := Track(t)
		require.NoError(t, tracked.Await(time.Minute))

		leave(own)
		begun := time.Now()
		err := tracked.Await(time.Minute)
		require.ErrorContains(t, err, t.Name())
		require.ErrorContains(t, err, "sidebyside.leave")
		require.Equal(t, time.Minute, time.Since(begun))

		go func() {
			time.Sleep(time.Minute / 2)
			close(own)
		}()
		require.NoError(t, tracked.Await(time.Minute))
		close(others)
	})
}
