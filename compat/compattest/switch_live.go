package compattest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// liveRefusals is how many connections of an ID are refused while its former one lives. By the
// schedule of redials the last of them comes about 3 s after the first, when a switch that
// suspects former connections suspects this one too, and asks it for a sign of life.
const liveRefusals = 3

// On a machine so busy that a remote gives no sign of life in time, its connection ends rightly. So it is
// tried again, liveAttempts times in all, where goroutines have waited for busyDelay.
const (
	liveAttempts = 3
	busyDelay    = 100 * time.Millisecond
)

// A connection whose remote is alive stays when another node proves the same ID, as when a node
// key was copied to a second machine. That node is refused, and the first one notices nothing.
func testLive(t *testing.T, c *cluster) {
	for range liveAttempts {
		longest := watchDelays(t)
		stays, delay := connectionStays(t, c), longest()
		if stays {
			return
		}
		t.Logf("the former connection has ended, and a goroutine has waited for %s", delay)
		require.Greater(t, delay, busyDelay, "a connection whose remote lives does not stay")
	}
	require.Fail(t, "a connection whose remote lives does not stay")
}

// watchDelays returns a function that returns how long, at most, a goroutine has waited since then for
// its turn.
func watchDelays(t *testing.T) func() time.Duration {
	t.Helper()
	const every = 10 * time.Millisecond
	done, longest := make(chan struct{}), make(chan time.Duration, 1)
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(stop)
	wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
				now := time.Now()
				most, last = max(most, now.Sub(last)-every), now
			case <-done:
				longest <- most

				return
			}
		}
	})

	return func() time.Duration {
		stop()

		return <-longest
	}
}

// connectionStays reports false if the hub has ended the former connection.
func connectionStays(t *testing.T, c *cluster) bool {
	t.Helper()
	hub := c.started(t)
	spec := identity()
	first := c.nodeOf(t, spec)
	require.NoError(t, first.Start())
	_, former := c.connect(t, first, hub)
	id := first.id()

	second := c.nodeOf(t, spec, func(s *nodeSetup) { s.PersistentPeers = []*types.NetAddress{hub.address()} })
	require.NoError(t, second.Start())
	c.await(t, "the other node is refused again and again, or the former connection ends", func() bool {
		refused := second.log.count(failed, hub.id()) + second.log.count(removed, hub.id())

		return refused >= liveRefusals || hub.log.count(removePeer, id) > 0
	})
	requireStop(t, second)
	if hub.log.count(removePeer, id) > 0 {
		return false
	}
	require.Same(t, former, hub.Peers().Get(id))
	c.exchange(t, first, hub)
	require.Zero(t, first.log.count(removePeer, hub.id()), "%s", first.log)
	require.True(t, second.without(hub.id()), "the other node's connections have ended: %s", second.log)

	requireStop(t, hub)
	for _, e := range hub.log.of(id) {
		switch e.what {
		case initPeer, addPeer, received, removePeer, removed:
			require.Same(t, former, e.peer, "no reactor has seen another connection: %s", hub.log)
		}
	}
	require.Equal(t, 1, hub.log.count(removed, id), "by the stop alone: %s", hub.log)
	require.Equal(t, 1, hub.log.count(connected, id))

	return true
}
