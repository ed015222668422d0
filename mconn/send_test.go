package mconn

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// blocked runs a test with a connection whose writer is blocked: the peer does not
// read the batch with the message "first" on channel 0x20.
func blocked(
	t *testing.T, config MConnConfig, descs []*compat.ChannelDescriptor, test func(t *testing.T, n *node, p peer),
) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(1)
		n := startNode(t, local, config, descs...)
		require.True(t, n.Send(0x20, []byte("first")))
		synctest.Wait()

		test(t, n, peer{t, remote})

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.MaxSendBufferBytes = 100

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, config, oneChannel...)
		start := time.Now()

		refused := func(ch byte, msg []byte) {
			t.Helper()
			require.False(t, n.Send(ch, msg))
			require.False(t, n.TrySend(ch, msg))
		}

		refused(0x20, []byte("not started"))
		require.NoError(t, n.Start())
		refused(0x21, []byte("unknown channel"))
		refused(0x20, nil)
		refused(0x20, []byte{})
		refused(0x20, make([]byte, 101))
		require.True(t, n.Send(0x20, make([]byte, 100)), "exactly the budget")
		n.stop(t)
		refused(0x20, []byte("stopped"))

		require.Zero(t, time.Since(start), "nothing waits")
		require.NoError(t, remote.Close())
	})
}

func TestSendTimesOut(t *testing.T) {
	t.Parallel()

	descs := []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1, SendQueueCapacity: 2}}
	blocked(t, unlimited(), descs, func(t *testing.T, n *node, p peer) {
		require.True(t, n.Send(0x20, []byte("a")))
		require.True(t, n.Send(0x20, []byte("b")))
		require.Equal(t, 2, n.Status().Channels[0].SendQueueSize)

		start := time.Now()
		require.False(t, n.TrySend(0x20, []byte("no place")))
		require.Zero(t, time.Since(start))

		require.False(t, n.Send(0x20, []byte("no place")))
		require.Equal(t, compat.SendTimeout, time.Since(start))

		for _, want := range []string{"first", "a", "b"} {
			require.Equal(t, want, string(p.packet().Payload))
		}
		require.True(t, n.Send(0x20, []byte("c")))
		require.Equal(t, "c", string(p.packet().Payload), "what was refused is not sent")
		require.Zero(t, n.Status().Channels[0].SendQueueSize)
	})
}

func TestSendWaitsInOrder(t *testing.T) {
	t.Parallel()

	descs := []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1, SendQueueCapacity: 1}}
	blocked(t, unlimited(), descs, func(t *testing.T, n *node, p peer) {
		require.True(t, n.Send(0x20, []byte("0")))

		var wg sync.WaitGroup
		results := make([]bool, 6)
		for i := range results {
			wg.Go(func() { results[i] = n.Send(0x20, []byte{'1' + byte(i)}) })
			synctest.Wait() // fixes the order of the senders
		}

		require.False(t, n.TrySend(0x20, []byte("must not overtake")))

		for _, want := range []string{"first", "0", "1", "2", "3", "4", "5", "6"} {
			require.Equal(t, want, string(p.packet().Payload))
		}

		wg.Wait()
		require.Equal(t, []bool{true, true, true, true, true, true}, results)
	})
}

func TestSendBudget(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.MaxSendBufferBytes = 1000

	descs := []*compat.ChannelDescriptor{desc(0x20, 1), desc(0x21, 1)}
	blocked(t, config, descs, func(t *testing.T, n *node, p peer) {
		require.True(t, n.TrySend(0x20, make([]byte, 600)))
		require.False(t, n.TrySend(0x21, make([]byte, 401)))

		var (
			wg         sync.WaitGroup
			big, small bool
		)
		wg.Go(func() { big = n.Send(0x21, make([]byte, 900)) })
		synctest.Wait()

		require.True(t, n.TrySend(0x20, make([]byte, 400)), "others do not wait for a big one")
		wg.Go(func() { small = n.Send(0x20, make([]byte, 10)) })
		synctest.Wait()

		sizes := map[int]int{}
		for _, packet := range p.packets(5) {
			sizes[len(packet.Payload)]++
		}
		require.Equal(t, map[int]int{5: 1, 600: 1, 400: 1, 900: 1, 10: 1}, sizes)

		wg.Wait()
		require.True(t, big)
		require.True(t, small)
	})
}

// TestSendBudgetTimeout checks that a Send that times out frees its budget and
// unblocks the Sends behind it.
func TestSendBudgetTimeout(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.MaxSendBufferBytes = 1000

	blocked(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
		require.True(t, n.Send(0x20, make([]byte, 600)))

		var (
			wg         sync.WaitGroup
			big, small bool
		)
		wg.Go(func() { big = n.Send(0x20, make([]byte, 500)) })
		advance(time.Second)
		wg.Go(func() { small = n.Send(0x20, make([]byte, 400)) })
		advance(compat.SendTimeout - time.Second)
		wg.Wait()

		require.False(t, big)
		require.True(t, small, "it fits once the one before it has given up")
		require.False(t, n.TrySend(0x20, []byte("x")), "the budget is used up")

		p.packets(3)
		synctest.Wait()
		require.True(t, n.TrySend(0x20, make([]byte, 1000)))
	})
}

func TestStopReleasesSenders(t *testing.T) {
	t.Parallel()

	descs := []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1}}
	blocked(t, unlimited(), descs, func(t *testing.T, n *node, _ peer) {
		require.True(t, n.Send(0x20, []byte("a")))

		var wg sync.WaitGroup
		results := []bool{true, true, true}
		for i := range results {
			wg.Go(func() { results[i] = n.Send(0x20, []byte("b")) })
		}
		synctest.Wait()

		start := time.Now()
		require.NoError(t, n.Stop())
		wg.Wait()
		require.Zero(t, time.Since(start))
		require.Equal(t, []bool{false, false, false}, results)
	})
}
