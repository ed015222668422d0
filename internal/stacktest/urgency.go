package stacktest

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Fixed hides that a connection is a socket.Path, so that its unsent data keeps one limit.
type Fixed struct{ net.Conn }

// UrgentDelays sends messages of 128 B by urgent, one each 70 ms, while bulk sends messages of
// 64 KiB as fast as it can, and returns the median and the longest time until received tells
// that one has arrived, without the delay of the path. It runs in a bubble of testing/synctest.
// bulk returns false at the end, when stop has ended the connection.
func UrgentDelays(t *testing.T, path Path, bulk, urgent func([]byte) bool, received <-chan struct{}, stop func()) (p50, longest time.Duration) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for msg := make([]byte, 64<<10); bulk(msg); {
		}
	}()
	time.Sleep(2 * time.Second)
	var delays []time.Duration
	for range 50 {
		time.Sleep(70 * time.Millisecond)
		begun := time.Now()
		require.True(t, urgent(make([]byte, 128)))
		<-received
		delays = append(delays, time.Since(begun)-path.Delay)
	}
	stop()
	<-done
	synctest.Wait()
	slices.Sort(delays)

	return delays[len(delays)/2], delays[len(delays)-1]
}
