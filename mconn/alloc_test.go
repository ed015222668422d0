//go:build !race

package mconn

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSendDoesNotAllocate checks that a message costs no allocation on either side.
func TestSendDoesNotAllocate(t *testing.T) {
	a, b := tcpPair(t)
	arrived := make(chan struct{}, 1)
	sender := startNode(t, a, unlimited(), oneChannel...)

	receiver, err := NewMConnectionWithConfig(b, oneChannel,
		func(byte, []byte) { arrived <- struct{}{} }, func(error) {}, unlimited())
	require.NoError(t, err)
	require.NoError(t, receiver.Start())

	for _, size := range []int{64, 1024, 64 << 10} {
		msg := make([]byte, size)
		allocs := testing.AllocsPerRun(200, func() {
			sender.Send(0x20, msg)
			<-arrived
		})
		require.LessOrEqual(t, allocs, 2.0, "bytes %d: one on each side at most", size)
	}

	sender.stop(t)
	<-receiver.Done()
}
