package discovery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// requireWait allows for the jitter.
func requireWait(t *testing.T, want, got time.Duration, what string) {
	t.Helper()
	require.GreaterOrEqual(t, got, want, what)
	require.LessOrEqual(t, got, want+time.Duration(jitter*float64(want)), what)
}

// Rounds become rarer until the switch has another peer; while the node is not in
// the network they stay close.
func TestRoundsBecomeRarer(t *testing.T) {
	p := &pace{interval: time.Second, wait: time.Second}
	for _, want := range []time.Duration{2, 4, 8, 10, 10} {
		requireWait(t, want*time.Second, p.next(0, false), "not in the network")
	}
	for _, want := range []time.Duration{20, 40, 60, 60} {
		requireWait(t, want*time.Second, p.next(0, true), "no new peer")
	}
	requireWait(t, time.Second, p.next(1, true), "a new peer")
	requireWait(t, 2*time.Second, p.next(1, true), "no other")
	requireWait(t, 4*time.Second, p.next(0, true), "a peer less")
}

// A node that is connected to everybody walks less and less, until something
// changes.
func TestWalksWithoutCandidatesBecomeRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pace{interval: time.Second, wait: time.Second}
		p.walked(3, time.Now())
		require.False(t, time.Now().Before(p.walkAt), "it has brought somebody")
		for _, want := range []time.Duration{4, 16, 64, 256, 300, 300} {
			p.walked(0, time.Now())
			requireWait(t, want*time.Second, time.Until(p.walkAt), "nobody")
		}
		p.next(5, true)
		p.soon()
		require.False(t, time.Now().Before(p.walkAt))
		requireWait(t, 2*time.Second, p.next(5, true), "from the beginning")
		p.walked(0, time.Now())
		requireWait(t, 4*time.Second, time.Until(p.walkAt), "from the beginning")
		p.walked(1, time.Now())
		require.False(t, time.Now().Before(p.walkAt), "there is somebody")
	})
}
