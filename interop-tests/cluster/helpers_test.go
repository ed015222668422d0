package cluster

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/sidebyside"
)

// patience bounds every wait. A test that reaches it has failed, even on a busy machine under
// the race detector.
const patience = 3 * time.Minute

// blockTime is the least time between two blocks, except at full size. It leaves the
// processors to the networks of other tests.
const blockTime = 100 * time.Millisecond

// running is a network whose nodes are started.
type running struct {
	*Network

	bridge     *Bridge // nil in a topology without one
	also       func()  // stops the test's other resources
	goroutines sidebyside.Goroutines
}

// newNetwork returns an empty network with a logger of newLogger. Nil means the timeouts of
// quickConsensus.
func newNetwork(t *testing.T, consensus func() *cnscfg.ConsensusConfig) *Network {
	t.Helper()
	if consensus == nil {
		consensus = quickConsensus
	}

	return NewNetwork(Config{Dir: t.TempDir(), Consensus: consensus, Logger: newLogger(t)})
}

// quickConsensus returns gno's timeouts for tests. Each round takes longer than the one before,
// as with gno's default timeouts, so that nodes on a busy machine agree in the end.
func quickConsensus() *cnscfg.ConsensusConfig {
	c := cnscfg.TestConsensusConfig()
	c.TimeoutProposeDelta = c.TimeoutPropose
	c.TimeoutPrevoteDelta, c.TimeoutPrecommitDelta = c.TimeoutPrevote, c.TimeoutPrecommit
	c.TimeoutCommit, c.SkipTimeoutCommit = blockTime, full()

	return c
}

// newLogger returns a logger that writes to a file in the directory CLUSTER_LOGS, if set.
func newLogger(t *testing.T) *slog.Logger {
	t.Helper()
	dir := os.Getenv("CLUSTER_LOGS")
	if dir == "" {
		return nil
	}
	require.NoError(t, os.MkdirAll(dir, 0o750))
	file, err := os.Create(filepath.Join(dir, t.Name()+".log"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })

	return slog.New(slog.NewTextHandler(file, nil))
}

// start starts the topology. It stops the topology at the end of the test, if not before.
func start(t *testing.T, n *Network, topology Topology) *running {
	t.Helper()

	return startWith(t, n, topology, func() {})
}

// startWith is start with also, which stops other resources and may be called twice.
func startWith(t *testing.T, n *Network, topology Topology, also func()) *running {
	t.Helper()
	goroutines := sidebyside.Track(t)
	b, err := topology.Build(n)
	require.NoError(t, err)
	r := &running{Network: n, bridge: b, also: also, goroutines: goroutines}
	if b != nil {
		require.NoError(t, b.Start())
	}
	t.Cleanup(func() { r.stop(t) })
	require.NoError(t, n.Start())

	return r
}

// stop stops the network and checks that no goroutine is left.
func (r *running) stop(t *testing.T) {
	t.Helper()
	err := r.Stop()
	if r.bridge != nil {
		err = errors.Join(err, r.bridge.Stop())
		r.bridge = nil
	}
	r.also()
	require.NoError(t, err)
	require.NoError(t, r.goroutines.Await(leakPatience))
}

// await waits until the check passes, and returns how long that took.
func (r *running) await(t *testing.T, check func() error) time.Duration {
	t.Helper()

	return r.awaitWithin(t, patience, check)
}

// awaitWithin is await, at full size with another timeout.
func (r *running) awaitWithin(t *testing.T, bound time.Duration, check func() error) time.Duration {
	t.Helper()
	if !full() {
		bound = patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	begun := time.Now()
	require.NoError(t, r.Await(ctx, check))

	return time.Since(begun)
}

// blocks waits until all members have count more blocks, and returns how long that took. The
// patience is that for one block.
func (r *running) blocks(t *testing.T, count int64, members ...*Member) (took time.Duration) {
	t.Helper()
	from := Top(members...)
	for made := range count {
		took += r.await(t, Reached(from+made+1, members...))
	}

	return took
}

// requireAgreement checks that no two members have different blocks.
func (r *running) requireAgreement(t *testing.T) {
	t.Helper()
	agreed, err := CheckAgreement(r.Members()...)
	require.NoError(t, err)
	t.Logf("same block at every height to %d, %d of them after more than one round", agreed.Height, agreed.Late)
}

// without returns the members except one.
func without(members []*Member, one *Member) []*Member {
	var others []*Member
	for _, m := range members {
		if m != one {
			others = append(others, m)
		}
	}

	return others
}

func seconds(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
