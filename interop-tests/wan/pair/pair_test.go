//go:build linux

package pair

import (
	"errors"
	"strings"
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

// attempts is how often a stack is run at most: a node that is held up for the whole window receives
// nothing in it. mostLost of the runs may end because a peer is lost: a handshake of more than 3 s may
// make a peer at one end only.
const attempts, mostLost = 5, 1

// TestPairs runs each stack once for a moment and checks that everything has arrived. What it
// measures says nothing: other tests run meanwhile.
func TestPairs(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for _, stack := range Stacks() {
		t.Run(stack.Name, func(t *testing.T) {
			t.Parallel()
			run := Run{
				Stack:  stack,
				Box:    box.Config{Path: box.Even(box.Path{Delay: 10 * time.Millisecond, Loss: .005}), Uplink: box.Everywhere(box.Mbit(100)), Seed: 1},
				Warmup: 200 * time.Millisecond, During: time.Second, Votes: 10, Parts: 4, Patience: time.Minute,
			}
			var r Result
			var err error
			for n, lost := 1, 0; ; n++ {
				r, err = Measure(t.Context(), run)
				if errors.Is(err, box.ErrUnavailable) {
					t.Skip(err)
				}
				if err != nil {
					lost++
				}
				late := err == nil && r.Rate == 0 || err != nil && lost <= mostLost && strings.Contains(err.Error(), errLost.Error())
				if !late || n == attempts {
					break
				}
				t.Logf("a run is repeated: %.0f B/s, %v", r.Rate, err)
			}
			require.NoError(t, err)
			urgent := int(run.During / urgentInterval)
			require.LessOrEqual(t, len(r.Urgent), urgent)
			require.GreaterOrEqual(t, len(r.Urgent), urgent-int(r.NotTaken), "NotTaken counts other messages too; Measure has compared the exact number")
			require.Positive(t, r.Rate)
			require.GreaterOrEqual(t, r.Urgent[0], 10*time.Millisecond)
			require.Greater(t, r.VoteBytes, float64(voteSize))
			require.Greater(t, r.PartBytes, float64(bulkSize))
			t.Logf("connected in %v, %.2f MB/s, urgent p50 %v p99 %v, vote %.0f B, part %.0f B, router late by %v",
				r.Connect.Round(time.Millisecond), r.Rate/1e6, r.Quantile(.5), r.Quantile(.99), r.VoteBytes, r.PartBytes, r.Late)
		})
	}
}
