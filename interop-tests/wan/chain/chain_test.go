//go:build linux

package chain

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

func TestMain(m *testing.M) {
	roles := cluster.Roles()
	for name, role := range Roles() {
		roles[name] = role
	}
	child.Main(roles)
	goleak.VerifyTestMain(m)
}

// small returns a network for four validators at 20 ms.
func small() box.Config {
	return box.Config{
		Places: 5, Path: box.Even(box.Path{Delay: 10 * time.Millisecond}), Uplink: box.Everywhere(box.Mbit(100)), Seed: 1,
	}
}

// attempts is how often a kind is run: validators that are held up may make no block in the window.
const attempts = 5

// fullVariable makes TestConsensus run the kinds whose stacks the one with the bridge has too.
const fullVariable = "WAN_FULL"

// TestConsensus makes blocks of 20 KiB on each stack, with a cut. What it measures says nothing:
// other tests run meanwhile.
func TestConsensus(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	bridged := []string{cluster.Gno().Name, cluster.Libp2p().Name}
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			if len(kind.Stacks) == 1 && slices.Contains(bridged, kind.Stacks[0]) && os.Getenv(fullVariable) == "" {
				t.Skip("runs with " + fullVariable + "=1 only: the kind with the bridge has this stack too")
			}
			t.Parallel()
			run := Run{Kind: kind, Box: small(), BlockBytes: 20 << 10, During: 3 * time.Second}
			if kind.Name == "native" {
				run.Cut, run.Patience = time.Second, 2*time.Minute
			}
			var r Result
			for range attempts {
				var err error
				r, err = Measure(t.Context(), run)
				if errors.Is(err, box.ErrUnavailable) {
					t.Skip(err)
				}
				require.NoError(t, err)
				if r.Blocks > 0 {
					break
				}
			}
			require.Positive(t, r.Blocks)
			require.Len(t, r.Commit, r.Blocks*4)
			require.Greater(t, r.BlockSize, 20e3)
			require.Greater(t, r.BlockWire, r.BlockSize)
			t.Logf("%.0f blocks a minute, proposal to commit p50 %v p99 %v, %d of %d late, %.0f B on the wire for %.0f B, restored after %v, router late by %v",
				r.PerMinute(), r.Quantile(.5), r.Quantile(.99), r.LateRounds, r.Blocks, r.BlockWire, r.BlockSize, r.Restored, r.Late)
		})
	}
}

// TestSync lets a node join on each stack that reaches other processes.
func TestSync(t *testing.T) {
	if raceBuild {
		t.Skip("gno itself has a race when a node joins")
	}
	if !netnstest.Inside(t) {
		return
	}
	for _, stack := range []string{"gno", "native", "libp2p", "libp2p-quic", "dual"} {
		t.Run(stack, func(t *testing.T) {
			t.Parallel()
			r, err := MeasureSync(t.Context(), Sync{
				Stack: stack, Box: small(), Blocks: 30, BlockBytes: 20 << 10, Patience: 2 * time.Minute,
			})
			if errors.Is(err, box.ErrUnavailable) {
				t.Skip(err)
			}
			require.NoError(t, err)
			require.EqualValues(t, 29, r.Blocks)
			require.Greater(t, r.Bytes, r.Blocks*20<<10)
			t.Logf("%.2f MB/s, %.0f blocks a second, router late by %v", r.Rate()/1e6, r.PerSecond(), r.Late)
		})
	}
}

func TestTooFewBlocks(t *testing.T) {
	_, err := MeasureSync(t.Context(), Sync{Blocks: 2})
	require.ErrorContains(t, err, "at least 3 blocks")
}
